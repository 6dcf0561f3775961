package systemtest

import (
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"
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
	primary.Stop(t, true)
	standby.Promote(t)
	if n := s.Rows(); n != kept {
		t.Fatalf("the standby has %d clients, want %d: nothing is lost", n, kept)
	}
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
