//go:build faults

package faulttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"

	"github.com/jackc/pgx/v5"
)

// fault is something that befalls the stage.
type fault struct {
	kind string
	// inject returns the moment from which recovery counts: when the fault was mended, or, where a process died, when it
	// did. A process that was to die at a point may not have reached it: then it was killed elsewhere.
	inject func(s *stage, rng *rand.Rand) (mended time.Time, reached bool)
}

// always is a fault that does not depend on anything being reached.
func always(kind string, inject func(s *stage, rng *rand.Rand) (mended time.Time)) fault {
	return fault{kind, func(s *stage, rng *rand.Rand) (time.Time, bool) { return inject(s, rng), true }}
}

// aWhile is a second, or up to ten.
func aWhile(rng *rand.Rand) time.Duration {
	return time.Second + time.Duration(rng.IntN(2)*rng.IntN(9000))*time.Millisecond
}

// killPoints are the moments at which death hurts most, and the roles that come to them.
var killPoints = []struct {
	point string
	role  string
}{
	{"after-publish", "ingress"}, {"after-commit", "worker"}, {"after-event", "worker"}, {"before-ack", "worker"},
}

// processFaults befall one process of Clientele of a role.
func processFaults(role string) []fault {
	pick := func(s *stage, rng *rand.Rand) *member {
		members := s.of(role)
		return members[rng.IntN(len(members))]
	}
	one := func(kind string, f func(s *stage, m *member, rng *rand.Rand) time.Time) fault {
		return always(kind+" "+role, func(s *stage, rng *rand.Rand) time.Time { return f(s, pick(s, rng), rng) })
	}
	faults := []fault{
		one("kill -9", func(_ *stage, m *member, _ *rand.Rand) time.Time {
			m.proc.Kill()
			died := time.Now()
			m.start()
			return died
		}),
		one("SIGTERM", func(s *stage, m *member, _ *rand.Rand) time.Time {
			m.proc.Signal(syscall.SIGTERM)
			if status := m.proc.Wait(); status != 0 {
				s.t.Errorf("%s: exit status %d after SIGTERM", m.name, status)
			}
			ended := time.Now()
			m.start()
			return ended
		}),
		one("pause", func(_ *stage, m *member, rng *rand.Rand) time.Time {
			pause(aWhile(rng), m.proc.Cmd.Process.Pid)
			return time.Now()
		}),
		one("clock step", func(_ *stage, m *member, rng *rand.Rand) time.Time {
			m.setClock(time.Duration(rng.IntN(3)-1) * time.Hour)
			return time.Now()
		}),
	}
	for _, p := range killPoints {
		if role != p.role && role != "serve" {
			continue
		}
		faults = append(faults, fault{"kill " + p.point + " " + role, func(s *stage, rng *rand.Rand) (time.Time, bool) {
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
		always("kill -9 nats-server", func(s *stage, _ *rand.Rand) time.Time {
			s.nats.Kill()
			s.nats.Restart(s.t)
			return time.Now()
		}),
		always("restart nats-server", func(s *stage, rng *rand.Rand) time.Time {
			s.nats.Signal(syscall.SIGTERM)
			s.nats.Wait()
			<-time.After(time.Duration(rng.IntN(5)) * time.Second)
			s.nats.Restart(s.t)
			return time.Now()
		}),
		always("pause nats-server", func(s *stage, rng *rand.Rand) time.Time {
			d := time.Duration(1+rng.IntN(10)) * time.Second
			if rng.IntN(8) == 0 {
				d = 40 * time.Second
			}
			pause(d, s.nats.Cmd.Process.Pid)
			return time.Now()
		}),
		always("consumer deleted, then migrate", func(s *stage, _ *rand.Rand) time.Time {
			if err := s.js.DeleteConsumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker); err != nil {
				s.t.Error(err)
			}
			testcluster.Within(5*time.Second, func() bool { return !s.of("worker")[0].proc.IsReady() })
			migrate := testcluster.Start(s.t, s.program, "migrate", "--nats-url", s.natsURL, "--database-url", s.postgres.URL())
			if status := migrate.Wait(); status != 0 {
				s.t.Errorf("migrate: exit status %d", status)
			}
			return time.Now()
		}),
	}
}

func postgresFaults() []fault {
	stopped := func(immediate bool) func(*stage, *rand.Rand) time.Time {
		return func(s *stage, rng *rand.Rand) time.Time {
			s.postgres.Stop(s.t, immediate)
			<-time.After(time.Duration(rng.IntN(5)) * time.Second)
			s.postgres.Start(s.t)
			return time.Now()
		}
	}
	return []fault{
		always("stop postgres fast", stopped(false)),
		always("stop postgres immediate", stopped(true)),
		always("pause postgres", func(s *stage, rng *rand.Rand) time.Time {
			s.postgres.Pause(s.t)
			<-time.After(time.Duration(1+rng.IntN(20)) * time.Second)
			s.postgres.Resume()
			return time.Now()
		}),
		always("terminate postgres sessions", func(s *stage, _ *rand.Rand) time.Time {
			for range 5 {
				terminateSessions(s)
				<-time.After(200 * time.Millisecond)
			}
			return time.Now()
		}),
	}
}

func terminateSessions(s *stage) {
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
