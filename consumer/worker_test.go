package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
)

func TestCommandsBecomeClients(t *testing.T) {
	t.Parallel()
	for _, cfg := range []consumer.Config{{}, {BatchSize: 1, Concurrency: 1}, {BatchSize: 7, Concurrency: 5}} {
		t.Run(fmt.Sprintf("batch %d concurrency %d", cfg.BatchSize, cfg.Concurrency), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			backlog := h.publishCommands(150)
			h.run(cfg)
			h.drained()
			commands := slices.Concat(backlog, h.publishCommands(20))
			h.drained()
			h.same(commands)
			if floor := h.consumerInfo().AckFloor.Stream; floor != 170 {
				t.Errorf("ack floor %d, want 170", floor)
			}
		})
	}
}

func TestTwoWorkersShareALog(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.run(consumer.Config{BatchSize: 10})
	h.run(consumer.Config{BatchSize: 10})
	commands := h.publishCommands(300)
	h.drained()
	h.same(commands)
}

func TestGarbageIsRejectedAndItsNeighboursGoThrough(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	invalid := publishertest.Command(t, publishertest.NewID(t), " ")
	garbage := &nats.Msg{Subject: "client.create.x", Data: []byte("\xffgarbage"), Header: nats.Header{"X": {"y"}}}
	first := publishertest.Command(t, publishertest.NewID(t), "First")
	last := publishertest.Command(t, publishertest.NewID(t), "Last")
	h.publish(messageOf(first), garbage, messageOf(invalid), messageOf(last))
	h.run(consumer.Config{})
	h.drained()
	h.same([]domain.CreateClient{first, last})

	rejections := h.rejections()
	if len(rejections) != 2 {
		t.Fatalf("rejections: %+v", rejections)
	}
	for _, r := range rejections {
		switch r.ID {
		case "x":
			if r.Reason != domain.CodeUndecodable || !bytes.Equal(r.Command.Body, garbage.Data) || r.Command.Headers["X"][0] != "y" {
				t.Errorf("rejection: %+v", r)
			}
		case invalid.ID.String():
			if r.Reason != domain.CodeInvalid || len(r.Errors) != 1 || r.Errors[0].Pointer != "/lastName" {
				t.Errorf("rejection: %+v", r)
			}
		}
		if r.Deliveries != 1 || r.RejectedAt.IsZero() || len(r.Errors) == 0 {
			t.Errorf("rejection: %+v", r)
		}
	}
}

func TestASyncTellsAWorkerNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.run(consumer.Config{BatchSize: 2})
	sync := func() *nats.Msg { return &nats.Msg{Subject: domain.SubjectSync + publishertest.NewID(t).String()} }
	h.publish(sync(), sync(), sync())
	commands := h.publishCommands(3)
	h.publish(sync())
	h.drained()
	h.same(commands)
	if n := h.deliveries(); n != 7 || len(h.rejections()) != 0 {
		t.Errorf("%d deliveries of 7 messages, rejections %+v", n, h.rejections())
	}
}

// storeFunc lets tests inject faults around a real store.
type storeFunc func(context.Context, []domain.Client) ([]domain.CreateResult, error)

func (f storeFunc) Create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
	return f(ctx, clients)
}

func TestAStoreThatFails(t *testing.T) {
	t.Parallel()
	for _, persisted := range []bool{false, true} { // before it failed
		t.Run(fmt.Sprint("persisted ", persisted), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			commands := h.publishCommands(30)
			var calls atomic.Int32
			h.run(consumer.Config{Concurrency: 1, Store: storeFunc(
				func(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
					if calls.Add(1) <= 3 {
						if persisted {
							if _, err := h.store.Create(ctx, clients); err != nil {
								t.Error(err)
							}
						}
						return nil, errors.New("connection lost")
					}
					return h.store.Create(ctx, clients)
				})})
			h.drained()
			h.same(commands)
			if n := h.deliveries(); n != 30 {
				t.Errorf("%d deliveries of 30 commands", n)
			}
			if len(h.rejections()) != 0 {
				t.Errorf("rejections: %+v", h.rejections())
			}
		})
	}
}

// If the store is unavailable for longer than the ack wait, heartbeats prevent redeliveries.
func TestWaitingForTheStoreCostsNoDelivery(t *testing.T) {
	t.Parallel()
	const ackWait = 300 * time.Millisecond
	h := newHouse(t)
	c, err := h.js.Consumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		t.Fatal(err)
	}
	impatient := c.CachedInfo().Config
	impatient.AckWait = ackWait
	if _, err := h.js.UpdateConsumer(context.Background(), domain.StreamCommands, impatient); err != nil {
		t.Fatal(err)
	}
	commands := h.publishCommands(30)
	away := make(chan struct{})
	time.AfterFunc(5*ackWait, func() { close(away) })
	for range 2 { // the second worker would receive a redelivery
		h.run(consumer.Config{Store: storeFunc(func(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
			<-away
			return h.store.Create(ctx, clients)
		})})
	}
	h.drained()
	h.same(commands)
	if n := h.deliveries(); n != 30 {
		t.Errorf("%d deliveries of 30 commands", n)
	}
}

// The worker isolates one unstorable client among 500, at any position, and stores the others.
func TestAnUnstorableClientIsIsolated(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	commands := h.publishCommands(500)
	poison := commands[333].ID
	h.run(consumer.Config{Store: storeFunc(func(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
		for _, c := range clients {
			if c.ID == poison {
				return nil, domain.Errorf(domain.CodeUnstorable, "refused")
			}
		}
		return h.store.Create(ctx, clients)
	})})
	h.drained()
	h.same(slices.Delete(commands, 333, 334))
	rejections := h.rejections()
	if len(rejections) != 1 || rejections[0].ID != poison.String() || rejections[0].Reason != domain.CodeUnstorable {
		t.Errorf("rejections: %+v", rejections)
	}
}

func TestAnotherCommandUnderAKnownID(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stored := publishertest.Command(t, publishertest.NewID(t), "Stored").Client(time.Now())
	if _, err := h.store.Create(context.Background(), []domain.Client{stored}); err != nil {
		t.Fatal(err)
	}
	h.publish(messageOf(publishertest.Command(t, stored.ID, "Other")))
	h.run(consumer.Config{})
	h.drained()
	if got, err := h.store.Get(context.Background(), stored.ID); err != nil || got.LastName != "Stored" {
		t.Errorf("the row is now %+v (%v)", got, err)
	}
	if r := h.rejections(); len(r) != 1 || r[0].Reason != domain.CodeKeyReused {
		t.Errorf("rejections: %+v", r)
	}
	if n := len(h.messages(domain.StreamEvents)); n != 0 {
		t.Errorf("%d events", n)
	}
}

// outcomesFunc lets tests inject faults around the real PublishEvents.
type outcomesFunc struct {
	*publisher.OutcomePublisher
	publishEvents func([]domain.Event) error
}

func (f outcomesFunc) PublishEvents(events []domain.Event) error { return f.publishEvents(events) }

func TestEventsThatFail(t *testing.T) {
	t.Parallel()
	for _, persisted := range []bool{false, true} {
		t.Run(fmt.Sprint("persisted ", persisted), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			commands := h.publishCommands(40)
			outcomes := h.outcomes()
			var calls atomic.Int32
			h.run(consumer.Config{Concurrency: 1, Outcomes: outcomesFunc{outcomes, func(events []domain.Event) error {
				if calls.Add(1) <= 3 {
					if persisted {
						if err := outcomes.PublishEvents(events); err != nil {
							t.Error(err)
						}
					}
					return errors.New("the ack was lost")
				}
				return outcomes.PublishEvents(events)
			}}})
			h.drained()
			h.same(commands)
		})
	}
}

// A worker that stops while the store is unavailable returns the commands, and another worker receives them immediately.
func TestStoppingWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	commands := h.publishCommands(10)
	tried := make(chan struct{}, 1)
	stop := h.run(consumer.Config{Store: storeFunc(func(context.Context, []domain.Client) ([]domain.CreateResult, error) {
		select {
		case tried <- struct{}{}:
		default:
		}
		return nil, errors.New("away")
	})})
	<-tried
	stop()
	h.run(consumer.Config{})
	h.drained()
	h.same(commands)
}

func TestTheServerGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.run(consumer.Config{})
	commands := h.publishCommands(20)
	h.drained()
	before := h.nc.Stats().Reconnects
	h.server.Down()
	h.server.Up(t)
	publishertest.Eventually(t, "the connection is back", func() bool { return h.nc.Stats().Reconnects > before })
	commands = append(commands, h.publishCommands(20)...)
	h.drained()
	h.same(commands)
}

func TestTrim(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stop := h.run(consumer.Config{History: time.Hour})
	h.publishCommands(20)
	h.drained()
	stop()
	h.publishCommands(5) // these stay open
	left := func() int { return len(h.messages(domain.StreamCommands)) }

	if err := h.worker(consumer.Config{History: time.Hour}).Trim(context.Background()); err != nil || left() != 25 {
		t.Errorf("within the history: %d commands left (%v), want 25", left(), err)
	}
	if err := h.worker(consumer.Config{}).Trim(context.Background()); err != nil || left() != 5 {
		t.Errorf("past the history: %d commands left (%v), want 5", left(), err)
	}
}

func TestTrimMakesRoomBeforeTheHistoryIsOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stop := h.run(consumer.Config{History: time.Hour})
	h.publishCommands(20)
	h.drained()
	stop()
	small := publishertest.Streams
	stream, err := h.js.Stream(context.Background(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	small.LogMaxBytes = 2 * int64(stream.CachedInfo().State.Bytes) // it is half full
	if err := publisher.MigrateStreams(context.Background(), h.js, small); err != nil {
		t.Fatal(err)
	}
	if err := h.worker(consumer.Config{History: time.Hour}).Trim(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(h.messages(domain.StreamCommands)); n != 0 {
		t.Errorf("%d commands left", n)
	}
}

func TestAMissingConsumer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.worker(consumer.Config{})
	if err := w.Ready(context.Background()); err != nil {
		t.Error(err)
	}
	if err := h.js.DeleteConsumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker); err != nil {
		t.Fatal(err)
	}
	const want = "consumer worker of stream CLIENT_COMMANDS is missing"
	if err := w.Ready(context.Background()); err == nil || err.Error() != want {
		t.Errorf("Ready: %v", err)
	}
}
