//go:build bench

package perftest

import (
	"fmt"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/google/uuid"
)

// redo measures clientele redo with an empty database.
func (g *growth) redo(t *testing.T) {
	fmt.Fprint(g.table, "\nredo\tclients/s\ts\t\n")
	n := int(1_000_000 * g.scale)
	s := testcluster.New(t)
	fillEvents(t, s, n)
	for range 2 { // the second one finds nothing to do
		began := time.Now()
		redo := testcluster.Start(t, testcluster.Program(t, "clientele"), append([]string{"redo"}, s.Flags...)...)
		if !testcluster.Within(30*time.Minute, redo.Ended) {
			t.Fatal("redo does not end")
		}
		if status := redo.Wait(); status != 0 {
			t.Fatalf("redo: exit status %d", status)
		}
		took := time.Since(began)
		if rows := s.Rows(); rows != n {
			t.Errorf("%d clients, want %d", rows, n)
		}
		fmt.Fprintf(g.table, "%d\t%.0f\t%.1f\t\n", n, float64(n)/took.Seconds(), took.Seconds())
	}
}

// fillEvents publishes the events of clients that the database lacks.
func fillEvents(t *testing.T, s *testcluster.Cluster, n int) {
	t.Helper()
	outcomes, err := publisher.OpenOutcomePublisher(t.Context(), s.JetStream.Conn())
	if err != nil {
		t.Fatal(err)
	}
	client := benchCommand(t).Client(time.Now())
	events := make([]domain.Event, 500)
	for ; n > 0; n -= len(events) {
		events = events[:min(n, len(events))]
		for i := range events {
			client.ID = uuid.New()
			if events[i], err = domain.NewEvent(client); err != nil {
				t.Fatal(err)
			}
		}
		if !testcluster.Within(time.Minute, func() bool { return outcomes.PublishEvents(events) == nil }) {
			t.Fatal("cannot publish events")
		}
	}
}

// failover measures how long a worker takes to store the clients again that an asynchronous standby has lost under load.
func (g *growth) failover(t *testing.T) {
	fmt.Fprint(g.table, "\nfailover, clients\tlost\tstored again\ts after the promotion\t\n")
	primary := storetest.StartPostgres(t)
	standby := primary.AsynchronousStandby(t)
	s := testcluster.NewOn(t, primary.URLWith(standby))
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	ended := make(chan int64)
	go func() {
		defer close(ended)
		ended <- runBench(t, ingress.API(), s.NATS.URL, growthConnections, "--duration="+(3*g.length+10*time.Second).String()).Completed
	}()
	events := func() int {
		stream, err := s.JetStream.Stream(t.Context(), domain.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		return int(stream.CachedInfo().State.LastSeq)
	}
	<-time.After(g.length) // under load
	standby.Disconnect(t)
	published := events()
	publishertest.Eventually(t, "clients are stored that the standby lacks", func() bool { return events() > published+growthConnections })
	<-time.After(time.Second)
	primary.Stop(t, true)
	lost := events() - s.Rows() // of the standby
	standby.Promote(t)
	promoted := time.Now()
	again := worker.Says(`"clients":(\d+).*the database had lost clients`)
	took := time.Since(promoted)
	clients := <-ended
	if !testcluster.Within(time.Minute, func() bool { return s.Drained() && s.Rows() == events() }) {
		t.Errorf("%d clients, %d events", s.Rows(), events())
	}
	fmt.Fprintf(g.table, "%d\t%d\t%s\t%.1f\t\n", clients, lost, again, took.Seconds())
}
