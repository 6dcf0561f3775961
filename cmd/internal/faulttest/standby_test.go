//go:build faults

package faulttest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"clientele/cmd/internal/testcluster"
)

// standbyFaults hit the standby of PostgreSQL, or make it the primary.
func standbyFaults() []fault {
	return []fault{
		always("stop the standby", func(s *system, rng *rand.Rand) time.Time {
			s.cluster.standby.Stop(s.t, true)
			<-time.After(aWhile(rng))
			s.cluster.standby.Start(s.t)
			return time.Now()
		}),
		always("cut off the standby", func(s *system, rng *rand.Rand) time.Time {
			host := s.cluster.hosts[s.cluster.standby]
			host.Cut()
			<-time.After(aWhile(rng))
			host.Join()
			return time.Now()
		}),
		always("kill postgres and promote its standby", func(s *system, rng *rand.Rand) time.Time {
			return s.failOver(rng, func(*testcluster.Host) { s.postgres.Stop(s.t, true) })
		}),
		always("cut off postgres and promote its standby", func(s *system, rng *rand.Rand) time.Time {
			return s.failOver(rng, (*testcluster.Host).Cut)
		}),
	}
}

// failOver makes the standby the primary, waits until every event has a row, and makes the old primary the standby. An asynchronous
// standby is behind by up to 3 s.
func (s *system) failOver(rng *rand.Rand, fail func(primary *testcluster.Host)) time.Time {
	s.t.Helper()
	c := s.cluster
	old, next := s.postgres, c.standby
	before := s.restored()
	lag := time.Second + time.Duration(rng.IntN(2000))*time.Millisecond
	if !c.synchronous {
		c.hosts[old].CutFrom(c.hosts[next])
		<-time.After(lag)
	}
	fail(c.hosts[old])
	next.Promote(s.t)
	promoted := time.Now()
	s.postgres, c.standby = next, old
	s.awaitRows(func(format string, args ...any) { s.violations = append(s.violations, fmt.Sprintf(format, args...)) })
	c.slowest = max(c.slowest, time.Since(promoted))
	lost := s.restored() - before
	c.lost += lost
	s.t.Logf("promoted a standby at %s: %d rows were lost, and back %.1f s later", promoted.UTC().Format(time.TimeOnly), lost, time.Since(promoted).Seconds())

	old.Stop(s.t, true)
	if !c.synchronous {
		c.hosts[old].JoinWith(c.hosts[next])
	}
	c.hosts[old].Join()
	old.Rejoin(s.t, next)
	if c.synchronous {
		next.Synchronise(s.t)
	}
	return time.Now()
}
