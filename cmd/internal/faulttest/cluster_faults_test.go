//go:build faults

package faulttest

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

func clusterFaults() []fault {
	faults := append(processFaults("ingress"), processFaults("worker")...)
	faults = append(faults, hostFaults()...)
	faults = append(faults, serverFaults()...)
	faults = append(faults, wholeClusterFaults()...)
	faults = append(faults, diskFaults()...)
	faults = append(faults, leaderFaults()...)
	faults = append(faults, postgresFaults()...)
	return append(faults, standbyFaults()...)
}

// serverFaults hit one nats-server: any, or one that leads.
func serverFaults() []fault {
	var faults []fault
	for _, target := range []struct {
		name string
		pick func(s *system, rng *rand.Rand) int
	}{
		{"a nats-server", func(s *system, rng *rand.Rand) int { return rng.IntN(len(s.servers)) }},
		{"the leader of the log", func(s *system, rng *rand.Rand) int { return s.leader(domain.StreamCommands, rng) }},
		{"the leader of the events", func(s *system, rng *rand.Rand) int { return s.leader(domain.StreamEvents, rng) }},
		{"the leader of the rejections", func(s *system, rng *rand.Rand) int { return s.leader(domain.StreamRejections, rng) }},
		{"the leader of the consumer", func(s *system, rng *rand.Rand) int { return s.leader("", rng) }},
	} {
		for _, action := range []struct {
			name string
			do   func(s *system, number int, rng *rand.Rand)
		}{
			{"kill -9", func(s *system, number int, rng *rand.Rand) {
				s.servers[number].Kill()
				<-time.After(time.Duration(rng.IntN(8)) * time.Second)
				s.servers[number].Restart(s.t)
			}},
			{"SIGTERM", func(s *system, number int, rng *rand.Rand) {
				s.terminate(number)
				<-time.After(time.Duration(rng.IntN(8)) * time.Second)
				s.servers[number].Restart(s.t)
			}},
			{"pause", func(s *system, number int, rng *rand.Rand) {
				pause(aWhile(rng), s.servers[number].PID())
			}},
			{"cut off", func(s *system, number int, rng *rand.Rand) {
				s.servers[number].Host.Cut()
				<-time.After(aWhile(rng))
				s.servers[number].Host.Join()
			}},
			{"lose what the others send to", func(s *system, number int, rng *rand.Rand) {
				for _, other := range s.natsHosts(number) {
					other.CutFrom(s.servers[number].Host)
				}
				<-time.After(aWhile(rng))
				for _, other := range s.natsHosts(number) {
					other.JoinWith(s.servers[number].Host)
				}
			}},
			{"lose what the others get from", func(s *system, number int, rng *rand.Rand) {
				s.servers[number].Host.CutFrom(s.natsHosts(number)...)
				<-time.After(aWhile(rng))
				s.servers[number].Host.JoinWith(s.natsHosts(number)...)
			}},
		} {
			faults = append(faults, always(action.name+" "+target.name, func(s *system, rng *rand.Rand) time.Time {
				action.do(s, target.pick(s, rng), rng)
				return time.Now()
			}))
		}
	}
	return faults
}

// terminate stops a nats-server with SIGTERM.
func (s *system) terminate(number int) {
	s.t.Helper()
	s.servers[number].Signal(syscall.SIGTERM)
	s.servers[number].Wait()
}

// wholeClusterFaults hit several nats-servers.
func wholeClusterFaults() []fault {
	return []fault{
		always("cut off two nats-servers", func(s *system, rng *rand.Rand) time.Time {
			hosts := s.natsHosts(rng.IntN(len(s.servers)))
			for _, host := range hosts {
				host.Cut()
			}
			<-time.After(aWhile(rng))
			for _, host := range hosts {
				host.Join()
			}
			return time.Now()
		}),
		always("kill -9 all nats-servers", func(s *system, _ *rand.Rand) time.Time {
			for _, server := range s.servers {
				server.Kill()
			}
			for _, server := range s.servers {
				server.Restart(s.t)
			}
			return time.Now()
		}),
		always("restart the nats-servers in turn", func(s *system, rng *rand.Rand) time.Time {
			for _, number := range rng.Perm(len(s.servers)) {
				s.terminate(number)
				s.servers[number].Restart(s.t)
				if !s.replicated() {
					s.violations = append(s.violations, "6: a nats-server that was restarted does not catch up")
				}
			}
			return time.Now()
		}),
	}
}

// diskFaults damage the disk of one nats-server. The other two have everything.
func diskFaults() []fault {
	return []fault{
		always("wipe the disk of a nats-server", func(s *system, rng *rand.Rand) time.Time {
			s.wipe(rng.IntN(len(s.servers)))
			return time.Now()
		}),
		always("wipe the disk of the leader of the log", func(s *system, rng *rand.Rand) time.Time {
			s.wipe(s.leader(domain.StreamCommands, rng))
			return time.Now()
		}),
		// nats-server does not repair the message from the other replicas, so the fault ends as it does for an operator.
		always("flip a bit on a follower, then wipe its disk", func(s *system, rng *rand.Rand) time.Time {
			stream := streams[rng.IntN(len(streams))]
			number := (s.leader(stream, rng) + 1 + rng.IntN(2)) % len(s.servers)
			s.terminate(number)
			s.flip(number, stream, rng)
			s.servers[number].Restart(s.t)
			if !s.replicated() {
				s.violations = append(s.violations, "6: a nats-server with a flipped bit does not catch up")
			}
			<-time.After(aWhile(rng))
			s.wipe(number)
			return time.Now()
		}),
	}
}

// wipe kills a nats-server and starts it again with an empty disk.
func (s *system) wipe(number int) {
	s.t.Helper()
	server := s.servers[number]
	server.Kill()
	if err := os.RemoveAll(server.Data); err != nil {
		s.t.Fatal(err)
	}
	server.Restart(s.t)
}

// flip flips a bit in the blocks of a stream of a stopped nats-server.
func (s *system) flip(number int, stream string, rng *rand.Rand) {
	s.t.Helper()
	blocks, err := filepath.Glob(filepath.Join(s.servers[number].Data, "jetstream", "$G", "streams", stream, "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		s.t.Fatalf("nats-server %d has no blocks of %s (%v)", number+1, stream, err)
	}
	path := blocks[rng.IntN(len(blocks))]
	content, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(content) == 0 {
		return // of an empty stream
	}
	content[rng.IntN(len(content))] ^= 1 << rng.IntN(8)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// leaderFaults make another server lead.
func leaderFaults() []fault {
	var faults []fault
	for _, leader := range []struct{ name, subject string }{
		{"the leader of the log", "STREAM.LEADER.STEPDOWN." + domain.StreamCommands},
		{"the leader of the events", "STREAM.LEADER.STEPDOWN." + domain.StreamEvents},
		{"the leader of the rejections", "STREAM.LEADER.STEPDOWN." + domain.StreamRejections},
		{"the leader of the consumer", "CONSUMER.LEADER.STEPDOWN." + domain.StreamCommands + "." + domain.ConsumerWorker},
	} {
		faults = append(faults, always("step down "+leader.name, func(s *system, rng *rand.Rand) time.Time {
			for range 1 + rng.IntN(5) {
				s.stepDown(leader.subject)
				<-time.After(time.Duration(rng.IntN(1500)) * time.Millisecond)
			}
			return time.Now()
		}))
	}
	return faults
}

// stepDown asks a leader to step down. While there is none, the server refuses.
func (s *system) stepDown(subject string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	msg, err := s.nc.RequestWithContext(ctx, "$JS.API."+subject, nil)
	if err != nil {
		return
	}
	var response struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &response); err != nil || response.Error != nil && response.Error.Code != 503 {
		s.t.Errorf("%s: %s (%v)", subject, msg.Data, err)
	}
}

// hostFaults hit the network of an ingress or a worker.
func hostFaults() []fault {
	var faults []fault
	for _, role := range []string{"ingress", "worker"} {
		pick := func(s *system, rng *rand.Rand) *testcluster.Host {
			members := s.of(role)
			return members[rng.IntN(len(members))].host
		}
		faults = append(faults,
			always("cut off "+role, func(s *system, rng *rand.Rand) time.Time {
				host := pick(s, rng)
				host.Cut()
				<-time.After(aWhile(rng))
				host.Join()
				return time.Now()
			}),
			always("lose what the nats-servers send to "+role, func(s *system, rng *rand.Rand) time.Time {
				host := pick(s, rng)
				for _, server := range s.natsHosts() {
					server.CutFrom(host)
				}
				<-time.After(aWhile(rng))
				for _, server := range s.natsHosts() {
					server.JoinWith(host)
				}
				return time.Now()
			}),
			always("lose what postgres sends to "+role, func(s *system, rng *rand.Rand) time.Time {
				host, database := pick(s, rng), s.cluster.hosts[s.postgres]
				database.CutFrom(host)
				<-time.After(aWhile(rng))
				database.JoinWith(host)
				return time.Now()
			}))
	}
	return faults
}
