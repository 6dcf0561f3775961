package systemtest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/jackc/pgx/v5"
)

// Requests are accepted while the database is unavailable, hangs, ends connections, or fails over.

func TestTheDatabaseIsUnavailable(t *testing.T) {
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
	s := testcluster.NewOn(t, postgres.URL())
	s.Patient()
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	operations := testcluster.PostTwenty(t, ingress.API())
	postgres.Stop(t, immediate)
	operations = append(operations, testcluster.PostTwenty(t, ingress.API())...)
	worker.Says("store clients: waiting to try again")
	if r := testcluster.Get(t, ingress.Admin()+"/readyz"); r.Status != http.StatusOK || !strings.Contains(r.Body, `"degraded":["database: `) {
		t.Errorf("the ingress without a database: %d %s", r.Status, r.Body)
	}
	if r := testcluster.Get(t, worker.Admin()+"/readyz"); r.Status != http.StatusServiceUnavailable || !strings.Contains(r.Body, "database: ") {
		t.Errorf("the worker without a database: %d %s", r.Status, r.Body)
	}
	operations = append(operations, testcluster.Accepted(t, ingress.API(), testcluster.Jane, "some key"))
	// A worker that starts now waits; an ingress starts without a database.
	late := testcluster.Clientele(t, "worker", s.Flags...)
	late.Says("waiting for the database")
	if r := testcluster.Get(t, late.Admin()+"/readyz"); r.Status != http.StatusServiceUnavailable || !strings.Contains(r.Body, "waiting for the database") {
		t.Errorf("a worker that waits: %d %s", r.Status, r.Body)
	}
	lateIngress := testcluster.Clientele(t, "ingress", s.Flags...)
	operations = append(operations, testcluster.Accepted(t, lateIngress.API(), testcluster.Jane, ""))

	postgres.Start(t)
	late.Ready()
	s.Settled(ingress.API(), operations)
	s.DeliveredOnce()
}

// A database that hangs costs no delivery either: the worker reports the commands as in progress.
func TestTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	postgres := storetest.StartPostgres(t)
	s := testcluster.NewOn(t, postgres.URL())
	s.Patient()
	ingress := s.Clientele("ingress")
	s.Clientele("worker")
	s.Clientele("worker") // it would receive commands that the first does not report as in progress
	operations := testcluster.PostTwenty(t, ingress.API())
	publishertest.Eventually(t, "every command is acknowledged", s.Drained)

	postgres.Pause(t)
	hanging := time.After(2*testcluster.PatientAckWait + time.Second) // twice the ack wait
	operations = append(operations, testcluster.PostTwenty(t, ingress.API())...)
	operations = append(operations, testcluster.Accepted(t, ingress.API(), testcluster.Jane, "some key"))
	publishertest.Eventually(t, "a worker has received commands", func() bool { return s.Consumer().NumAckPending > 0 })
	<-hanging
	operations = append(operations, testcluster.PostTwenty(t, ingress.API())...)
	postgres.Resume()
	s.Settled(ingress.API(), operations)
	s.DeliveredOnce()
}

func TestSessionsAreTerminated(t *testing.T) {
	t.Parallel()
	const times = 5
	s := testcluster.New(t)
	s.Patient()
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	callers := testcluster.NewTraffic(t, ingress.API())
	for range times {
		unlock := s.Lock() // so that a statement is under way each time
		s.LocksHeld()
		s.Terminate()
		unlock()
		callers.AwaitAccepted(20)
	}
	operations := callers.Stop()
	if _, refused := callers.Counts(); refused > 0 {
		t.Errorf("refused: %v", callers.Refusals)
	}
	s.Settled(ingress.API(), operations)
	s.DeliveredOnce()
	if n := strings.Count(worker.Output(), "SQLSTATE 57P01"); n < times {
		t.Errorf("the worker noticed %d times, want at least %d", n, times)
	}
}

// The worker is not told that its transaction is committed: it publishes no event before it has read the rows.
func TestACommitIsNotConfirmed(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	s.Patient()
	ingress := s.Clientele("ingress")
	operations := testcluster.PostTwenty(t, ingress.API())
	between := testcluster.NewProxy(t, s.Database)
	unlock := s.Lock()
	worker := s.Behind(between, "worker")
	s.LocksHeld()
	between.LoseAnswers()
	unlock()
	publishertest.Eventually(t, "the rows are committed", func() bool { return s.Rows() == len(operations) })
	between.Cut()
	worker.Says("store clients: waiting to try again")
	if n := len(testcluster.Events(t, s.NATS.URL)); n > 0 {
		t.Errorf("%d events, though the worker cannot know of the commit", n)
	}
	operations = append(operations, testcluster.PostTwenty(t, ingress.API())...)
	between.Heal()
	s.Settled(ingress.API(), operations)
	s.DeliveredOnce()
}

// The primary dies and its standby takes over. The old primary stays down.
func TestTheDatabaseFailsOver(t *testing.T) {
	t.Parallel()
	primary := storetest.StartPostgres(t)
	standby := primary.Standby(t)
	s := testcluster.NewOn(t, primary.URLWith(standby))
	s.Patient()
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	callers := testcluster.NewTraffic(t, ingress.API())
	callers.AwaitAccepted(50)
	publishertest.Eventually(t, "rows", func() bool { return s.Rows() > 0 })
	primary.Stop(t, true)
	callers.AwaitAccepted(30)
	worker.Says("store clients: waiting to try again")
	standby.Promote(t)
	callers.AwaitAccepted(30)
	operations := callers.Stop()
	if _, refused := callers.Counts(); refused > 0 {
		t.Errorf("refused: %v", callers.Refusals)
	}
	s.Settled(ingress.API(), operations)
	s.DeliveredOnce()
	worker.Ready()
}

// No connection is left for the role of the worker.
func TestTheDatabaseHasTooManyConnections(t *testing.T) {
	t.Parallel()
	s := testcluster.NewOn(t, storetest.StartPostgres(t).URL())
	s.Patient()
	admin := s.Session()
	s.Exec(admin, `CREATE ROLE worker LOGIN CONNECTION LIMIT 1`)
	s.Exec(admin, `GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO worker`)
	ingress := s.Clientele("ingress")
	limited := *s
	limited.Database = strings.Replace(s.Database, "//clientele@", "//worker@", 1)
	worker := testcluster.Clientele(t, "worker", "--nats-url", s.NATS.URL, "--database-url", limited.Database)
	worker.Ready()
	operations := testcluster.PostTwenty(t, ingress.API())
	s.Settled(ingress.API(), operations)

	publishertest.Eventually(t, "the slot is free", func() bool { // the worker looks at the database every second, and may be first
		s.Exec(admin, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'worker'`)
		conn, err := pgx.Connect(t.Context(), limited.Database) // uses the slot
		if err == nil {
			t.Cleanup(func() { _ = conn.Close(context.Background()) })
		}
		return err == nil
	})
	operations = append(operations, testcluster.PostTwenty(t, ingress.API())...)
	worker.Says("SQLSTATE 53300")
	s.Exec(admin, `ALTER ROLE worker CONNECTION LIMIT -1`)
	s.Settled(ingress.API(), operations)
	s.DeliveredOnce()
}
