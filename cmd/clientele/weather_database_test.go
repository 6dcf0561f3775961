package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"clientele/publisher/publishertest"
	"clientele/store/storetest"
)

// The database goes away, hangs, hangs up, or is another one now. Requests are accepted all the while.

func TestTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	for name, immediate := range map[string]bool{"crash": true, "shutdown": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theDatabaseIsAway(t, immediate)
		})
	}
}

func theDatabaseIsAway(t *testing.T, immediate bool) {
	t.Helper()
	postgres := storetest.StartPostgres(t)
	s := newSiteOn(t, postgres.URL())
	ingress, worker := s.clientele("ingress"), s.clientele("worker")
	operations := take(t, ingress.api())
	postgres.Stop(t, immediate)
	operations = append(operations, take(t, ingress.api())...)
	worker.says("store clients: waiting to try again")
	if r := get(t, ingress.admin()+"/readyz"); r.status != http.StatusOK || !strings.Contains(r.body, `"degraded":["database: `) {
		t.Errorf("the ingress without a database: %d %s", r.status, r.body)
	}
	if r := get(t, worker.admin()+"/readyz"); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "database: ") {
		t.Errorf("the worker without a database: %d %s", r.status, r.body)
	}
	operations = append(operations, accepted(t, ingress.api(), jane, "some key"))
	// A worker and an ingress that start now wait, or do without.
	late := clientele(t, "worker", s.flags...)
	late.says("waiting for the database")
	if r := get(t, late.admin()+"/readyz"); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "waiting for the database") {
		t.Errorf("a worker that waits: %d %s", r.status, r.body)
	}
	lateIngress := clientele(t, "ingress", s.flags...)
	operations = append(operations, accepted(t, lateIngress.api(), jane, ""))

	postgres.Start(t)
	late.ready()
	s.settled(ingress.api(), operations)
	s.deliveredOnce()
}

// A database that hangs costs no delivery either: the worker goes on saying that it has the commands in hand.
func TestTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	const ackWait = 2 * time.Second
	postgres := storetest.StartPostgres(t)
	s := newSiteOn(t, postgres.URL())
	s.ackWait(ackWait)
	ingress := s.clientele("ingress")
	s.clientele("worker")
	s.clientele("worker") // who would get what the first is silent about
	operations := take(t, ingress.api())
	publishertest.Eventually(t, "every command is acknowledged", s.drained)

	postgres.Pause(t)
	hanging := time.After(2*ackWait + ackWait/2)
	operations = append(operations, take(t, ingress.api())...)
	operations = append(operations, accepted(t, ingress.api(), jane, "some key"))
	publishertest.Eventually(t, "a worker has commands in hand", func() bool { return s.consumer().NumAckPending > 0 })
	<-hanging
	operations = append(operations, take(t, ingress.api())...)
	postgres.Resume()
	s.settled(ingress.api(), operations)
	s.deliveredOnce()
}

func TestSessionsAreTerminated(t *testing.T) {
	t.Parallel()
	const times = 5
	s := newSite(t)
	ingress, worker := s.clientele("ingress"), s.clientele("worker")
	callers := gather(t, ingress.api())
	for range times {
		unlock := s.lock() // so that each time a statement is under way
		s.held()
		s.terminate()
		unlock()
		callers.goesOn(20)
	}
	operations := callers.leave()
	if _, refused := callers.counts(); refused > 0 {
		t.Errorf("refused: %v", callers.refusals)
	}
	s.settled(ingress.api(), operations)
	s.deliveredOnce()
	if n := strings.Count(worker.output(), "SQLSTATE 57P01"); n < times {
		t.Errorf("the worker noticed %d times, want %d at least", n, times)
	}
}

// The worker never hears that its transaction is committed: it tells nobody of the clients before it has seen the rows.
func TestACommitIsNotHeardOf(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingress := s.clientele("ingress")
	operations := take(t, ingress.api())
	between := newProxy(t, s.database)
	unlock := s.lock()
	worker := s.behind(between, "worker")
	s.held()
	between.loseAnswers()
	unlock()
	publishertest.Eventually(t, "the rows are committed", func() bool { return s.rows() == len(operations) })
	between.cut()
	worker.says("store clients: waiting to try again")
	if n := len(events(t, s.nats.url)); n > 0 {
		t.Errorf("%d events of what the worker cannot know", n)
	}
	operations = append(operations, take(t, ingress.api())...)
	between.heal()
	s.settled(ingress.api(), operations)
	s.deliveredOnce()
}

// The primary dies and its standby takes over. The old primary stays down.
func TestTheDatabaseFailsOver(t *testing.T) {
	t.Parallel()
	primary := storetest.StartPostgres(t)
	standby := primary.Standby(t)
	s := newSiteOn(t, primary.URLWith(standby))
	ingress, worker := s.clientele("ingress"), s.clientele("worker")
	callers := gather(t, ingress.api())
	callers.goesOn(50)
	publishertest.Eventually(t, "rows", func() bool { return s.rows() > 0 })
	primary.Stop(t, true)
	callers.goesOn(30)
	worker.says("store clients: waiting to try again")
	standby.Promote(t)
	callers.goesOn(30)
	operations := callers.leave()
	if _, refused := callers.counts(); refused > 0 {
		t.Errorf("refused: %v", callers.refusals)
	}
	s.settled(ingress.api(), operations)
	s.deliveredOnce()
	worker.ready()
}

// Nobody can connect: every slot that the worker's role may have is taken.
func TestTheDatabaseHasTooManyConnections(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, storetest.StartPostgres(t).URL())
	admin := s.session()
	s.exec(admin, `CREATE ROLE worker LOGIN CONNECTION LIMIT 1`)
	s.exec(admin, `GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO worker`)
	ingress := s.clientele("ingress")
	limited := *s
	limited.database = strings.Replace(s.database, "//clientele@", "//worker@", 1)
	worker := clientele(t, "worker", "--nats-url", s.nats.url, "--database-url", limited.database)
	worker.ready()
	operations := take(t, ingress.api())
	s.settled(ingress.api(), operations)

	s.terminate()
	publishertest.Eventually(t, "the slot is free", func() bool {
		var sessions int
		err := admin.QueryRow(context.Background(), `SELECT count(*) FROM pg_stat_activity WHERE usename = 'worker'`).Scan(&sessions)
		return err == nil && sessions == 0
	})
	limited.session() // takes it
	operations = append(operations, take(t, ingress.api())...)
	worker.says("SQLSTATE 53300")
	s.exec(admin, `ALTER ROLE worker CONNECTION LIMIT -1`)
	s.settled(ingress.api(), operations)
	s.deliveredOnce()
}
