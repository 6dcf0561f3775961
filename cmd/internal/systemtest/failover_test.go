package systemtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/consumer/redo"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/store/postgres"
	"clientele/store/storetest"

	"github.com/rs/zerolog"
)

// A primary fails while its asynchronous standby is behind. The standby takes its place without the last clients. The worker stores
// them again from their events, with the same times, so that their operations, records and events are what they were.
func TestAFailoverLosesNothing(t *testing.T) {
	t.Parallel()
	primary := storetest.StartPostgres(t)
	standby := primary.AsynchronousStandby(t)
	s := testcluster.NewOn(t, primary.URLWith(standby))
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	operations := testcluster.PostTwenty(t, ingress.API())
	s.Settled(ingress.API(), operations)
	standby.CatchUp(t, primary)
	kept := s.Rows()

	standby.Disconnect(t)
	operations = append(operations, testcluster.PostTwenty(t, ingress.API())...)
	s.Settled(ingress.API(), operations)
	behind := *s
	behind.Database = standby.URL()
	if n := behind.Rows(); n != kept { // before the promotion, after which the worker stores them at once
		t.Fatalf("the standby has %d clients, want %d: nothing is lost", n, kept)
	}
	primary.Stop(t, true)
	standby.Promote(t)
	worker.Says("the database had lost clients")
	publishertest.Eventually(t, "every client is stored again", func() bool { return s.Rows() == len(operations) })
	s.SameEvents(ingress.API(), operations)

	// It goes on as before.
	operations = append(operations, testcluster.PostTwenty(t, ingress.API())...)
	s.Settled(ingress.API(), operations)
	s.SameEvents(ingress.API(), operations)
	if n := strings.Count(worker.Output(), "the database had lost clients"); n != 1 {
		t.Errorf("the worker stored lost clients again %d times, want once", n)
	}
}

// A standby is promoted while its primary lives on, and one worker stays connected to the primary. Meanwhile another worker follows the
// stream on the new primary, and stores its position there. The first worker stores its clients again when it arrives.
func TestAWorkerStaysWithTheFormerPrimary(t *testing.T) {
	t.Parallel()
	primary := storetest.StartPostgres(t)
	standby := primary.AsynchronousStandby(t)
	s := testcluster.NewOn(t, primary.URLWith(standby))
	ingress, _ := s.Clientele("ingress"), s.Clientele("worker")
	operations := testcluster.PostTwenty(t, ingress.API())
	s.Settled(ingress.API(), operations)
	positionIs(t, primary.URL(), 20)
	standby.CatchUp(t, primary)
	standby.Disconnect(t)
	standby.Promote(t)
	other := follower(t, s, standby.URL())
	other()
	positionIs(t, standby.URL(), 20)

	operations = append(operations, testcluster.PostTwenty(t, ingress.API())...)
	s.Settled(ingress.API(), operations)
	positionIs(t, primary.URL(), 40) // the first worker
	other()
	positionIs(t, standby.URL(), 40)
	primary.Stop(t, true)
	publishertest.Eventually(t, "every client is stored again", func() bool { return s.Rows() == len(operations) })
	s.SameEvents(ingress.API(), operations)

	// The last batch that it stored on the former primary is published only now.
	client := publishertest.Command(t, publishertest.NewID(t), "Smith").Client(time.Now())
	event, err := domain.NewEvent(client)
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := publisher.OpenOutcomePublisher(t.Context(), s.JetStream.Conn())
	if err != nil {
		t.Fatal(err)
	}
	if err := outcomes.PublishEvents([]domain.Event{event}); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "its client is stored again", func() bool { return s.Rows() == len(operations)+1 })
}

// A standby still has the position that the migration of a filled database wrote, while the workers have stored clients on its primary.
func TestAFailoverRightAfterAMigration(t *testing.T) {
	t.Parallel()
	primary := storetest.StartPostgres(t)
	standby := primary.AsynchronousStandby(t)
	s := testcluster.NewOn(t, primary.URLWith(standby))
	s.Exec(s.Session(), `UPDATE redo_position SET sequence = -1`)
	standby.CatchUp(t, primary)
	standby.Disconnect(t)
	ingress, _ := s.Clientele("ingress"), s.Clientele("worker")
	positionIs(t, primary.URL(), 0)
	operations := testcluster.PostTwenty(t, ingress.API())
	s.Settled(ingress.API(), operations)
	positionIs(t, primary.URL(), 20)
	primary.Stop(t, true)
	standby.Promote(t)
	publishertest.Eventually(t, "every client is stored again", func() bool { return s.Rows() == len(operations) })
	s.SameEvents(ingress.API(), operations)
}

// follower returns a function that has a follower on this database compare the position with the stream once.
func follower(t *testing.T, s *testcluster.Cluster, url string) (follow func()) {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f, err := redo.NewFollower(redo.FollowerConfig{Conn: s.JetStream.Conn(), Store: db, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := f.Follow(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// positionIs waits until the database has this position on the events stream.
func positionIs(t *testing.T, url string, sequence int64) {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	publishertest.Eventually(t, "the position is stored", func() bool {
		var p domain.Position
		if p, _, err = db.Position(context.Background()); err != nil {
			t.Fatal(err)
		}
		return p.Sequence == sequence
	})
}
