package watch_test

import (
	"context"
	"sync/atomic"
	"testing"

	"clientele/cmd/internal/console/watch"
	"clientele/cmd/internal/inspect"
	"clientele/consumer"
	"clientele/publisher/publishertest"
	"clientele/store"
	"clientele/store/sqlite"

	"github.com/nats-io/nats.go/jetstream"
)

// counted counts the looks at a database.
type counted struct {
	store.Store

	looks atomic.Int64
}

func (c *counted) Describe(ctx context.Context) (store.Description, error) {
	c.looks.Add(1)
	return c.Store.Describe(ctx)
}

// newWatch returns a watch of real servers, and the number of its looks.
func newWatch(t *testing.T) (*watch.Watch, *atomic.Int64) {
	t.Helper()
	nc := publishertest.Start(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := consumer.Migrate(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: t.TempDir() + "/clientele.db"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	counting := &counted{Store: db}
	looker, err := inspect.New(inspect.Config{Conn: nc, Store: counting})
	if err != nil {
		t.Fatal(err)
	}
	w := watch.New(watch.Config{Looker: looker, JetStream: js, Explain: func(err error) error { return err }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w, &counting.looks
}

// There is no look while nobody watches, and one for all viewers.
func TestViewersShareLooks(t *testing.T) {
	t.Parallel()
	w, looks := newWatch(t)
	// Run reads the counters twice before the second point of the chart exists: 10 s without a look.
	publishertest.Eventually(t, "a point of the chart", func() bool { return len(w.Points()[0]) > 0 })
	if n := looks.Load(); n != 0 {
		t.Errorf("%d looks while nobody watches", n)
	}
	const viewers = 20
	var all [viewers]<-chan *watch.Snapshot
	for i := range all {
		var leave func()
		all[i], leave = w.Join()
		t.Cleanup(leave)
	}
	for range 3 {
		first := <-all[0]
		for _, looks := range all[1:] {
			if other := <-looks; other != first {
				t.Errorf("viewers have different looks: %p and %p", other, first)
			}
		}
		if first.Failure != "" || len(first.Status.Streams) == 0 {
			t.Errorf("%+v", first)
		}
	}
	if n := looks.Load(); n < 3 || n > 4 {
		t.Errorf("%d looks for 3 snapshots", n)
	}
}

// A viewer that does not read receives the newest look, and keeps nobody waiting.
func TestASlowViewer(t *testing.T) {
	t.Parallel()
	w, looks := newWatch(t)
	slow, leave := w.Join()
	defer leave()
	publishertest.Eventually(t, "three looks", func() bool { return looks.Load() >= 3 })
	last := w.One(t.Context())
	if s := <-slow; s.Status.At.Before(last.Status.At) {
		t.Errorf("a look of %s, and the newest is of %s", s.Status.At, last.Status.At)
	}
}
