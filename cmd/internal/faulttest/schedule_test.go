//go:build faults

package faulttest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
)

// fault is a fault that a run injects.
type fault struct {
	kind string
	// inject causes the fault and ends it. It returns the time from which recovery counts: when the fault ended, or when a process
	// died. reached is false if a process did not reach the point at which it was to die, and was killed elsewhere.
	inject func(s *system, rng *rand.Rand) (healed time.Time, reached bool)
}

// always is a fault that has no point to reach.
func always(kind string, inject func(s *system, rng *rand.Rand) (healed time.Time)) fault {
	return fault{kind, func(s *system, rng *rand.Rand) (time.Time, bool) { return inject(s, rng), true }}
}

// aWhile is one second, or up to ten.
func aWhile(rng *rand.Rand) time.Duration {
	return time.Second + time.Duration(rng.IntN(2)*rng.IntN(9000))*time.Millisecond
}

// killPoints are the points at which a crash does most harm, and the roles that reach them.
var killPoints = []struct {
	point string
	role  string
}{
	{"after-publish", "ingress"}, {"after-commit", "worker"}, {"after-event", "worker"}, {"before-ack", "worker"},
}

// processFaults hit one process of a role.
func processFaults(role string) []fault {
	pick := func(s *system, rng *rand.Rand) *member {
		members := s.of(role)
		return members[rng.IntN(len(members))]
	}
	one := func(kind string, f func(s *system, m *member, rng *rand.Rand) time.Time) fault {
		return always(kind+" "+role, func(s *system, rng *rand.Rand) time.Time { return f(s, pick(s, rng), rng) })
	}
	faults := []fault{
		one("kill -9", func(_ *system, m *member, _ *rand.Rand) time.Time {
			m.proc.Kill()
			died := time.Now()
			m.start()
			return died
		}),
		one("SIGTERM", func(s *system, m *member, _ *rand.Rand) time.Time {
			testcluster.Within(testcluster.Patience, m.proc.IsReady) // before it has a handler, the signal kills it
			m.proc.Signal(syscall.SIGTERM)
			if status := m.proc.Wait(); status != 0 {
				s.t.Errorf("%s: exit status %d after SIGTERM", m.name, status)
			}
			ended := time.Now()
			m.start()
			return ended
		}),
		one("pause", func(_ *system, m *member, rng *rand.Rand) time.Time {
			pause(aWhile(rng), m.proc.Cmd.Process.Pid)
			return time.Now()
		}),
		one("clock step", func(_ *system, m *member, rng *rand.Rand) time.Time {
			m.setClock(time.Duration(rng.IntN(3)-1) * time.Hour)
			return time.Now()
		}),
	}
	for _, p := range killPoints {
		if role != p.role && role != "serve" {
			continue
		}
		faults = append(faults, fault{"kill " + p.point + " " + role, func(s *system, rng *rand.Rand) (time.Time, bool) {
			m := pick(s, rng)
			m.proc.Kill()
			dying := m.start(fmt.Sprintf("CLIENTELE_FAULTS_KILL_AT=%s:%d", p.point, 1+rng.IntN(20)))
			reached := testcluster.Within(20*time.Second, dying.Ended)
			dying.Kill()
			died := time.Now()
			m.start()
			return died, reached
		}})
	}
	return faults
}

func embeddedFaults() []fault { return processFaults("serve") }

func separateFaults() []fault {
	faults := append(processFaults("ingress"), processFaults("worker")...)
	faults = append(faults, natsFaults()...)
	faults = append(faults, postgresFaults()...)
	return append(faults, networkFaults()...)
}

func natsFaults() []fault {
	return []fault{
		always("kill -9 nats-server", func(s *system, _ *rand.Rand) time.Time {
			s.servers[0].Kill()
			s.servers[0].Restart(s.t)
			return time.Now()
		}),
		always("restart nats-server", func(s *system, rng *rand.Rand) time.Time {
			s.servers[0].Signal(syscall.SIGTERM)
			s.servers[0].Wait()
			<-time.After(time.Duration(rng.IntN(5)) * time.Second)
			s.servers[0].Restart(s.t)
			return time.Now()
		}),
		always("pause nats-server", func(s *system, rng *rand.Rand) time.Time {
			d := time.Duration(1+rng.IntN(10)) * time.Second
			if rng.IntN(8) == 0 {
				d = 40 * time.Second
			}
			pause(d, s.servers[0].Cmd.Process.Pid)
			return time.Now()
		}),
		always("consumer deleted, then migrate", func(s *system, _ *rand.Rand) time.Time {
			var err error
			if !testcluster.Within(time.Minute, func() bool {
				err = s.js.DeleteConsumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker)
				return err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) // an attempt timed out, and succeeded
			}) {
				s.t.Error(err)
			}
			testcluster.Within(5*time.Second, func() bool { return !s.of("worker")[0].proc.IsReady() })
			s.migrate()
			return time.Now()
		}),
	}
}

func postgresFaults() []fault {
	stopped := func(immediate bool) func(*system, *rand.Rand) time.Time {
		return func(s *system, rng *rand.Rand) time.Time {
			s.postgres.Stop(s.t, immediate)
			<-time.After(time.Duration(rng.IntN(5)) * time.Second)
			s.postgres.Start(s.t)
			return time.Now()
		}
	}
	return []fault{
		always("stop postgres fast", stopped(false)),
		always("stop postgres immediate", stopped(true)),
		always("pause postgres", func(s *system, rng *rand.Rand) time.Time {
			s.postgres.Pause(s.t)
			<-time.After(time.Duration(1+rng.IntN(20)) * time.Second)
			s.postgres.Resume()
			return time.Now()
		}),
		always("terminate postgres sessions", func(s *system, _ *rand.Rand) time.Time {
			for range 5 {
				terminateSessions(s)
				<-time.After(200 * time.Millisecond)
			}
			return time.Now()
		}),
	}
}

func terminateSessions(s *system) {
	conn, err := pgx.Connect(context.Background(), s.postgres.URL())
	if err != nil {
		s.t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(),
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'clientele'`); err != nil {
		s.t.Error(err)
	}
}
