package consumer_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

func TestCommandsBecomeClients(t *testing.T) {
	t.Parallel()
	for _, cfg := range []consumer.Config{{}, {BatchSize: 1, Concurrency: 1}, {BatchSize: 7, Concurrency: 5}} {
		t.Run(fmt.Sprintf("batch %d concurrency %d", cfg.BatchSize, cfg.Concurrency), func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			backlog := s.publishCommands(150)
			s.run(cfg)
			s.drained()
			commands := slices.Concat(backlog, s.publishCommands(20))
			s.drained()
			s.same(commands)
			if floor := s.consumerInfo().AckFloor.Stream; floor != 170 {
				t.Errorf("ack floor %d, want 170", floor)
			}
		})
	}
}

func TestTwoWorkersShareALog(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(consumer.Config{BatchSize: 10})
	s.run(consumer.Config{BatchSize: 10})
	commands := s.publishCommands(300)
	s.drained()
	s.same(commands)
}

func TestGarbageIsRejectedAndItsNeighboursGoThrough(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.setAckWait(patientAckWait)
	invalid := publishertest.Command(t, publishertest.NewID(t), " ")
	garbage := &nats.Msg{Subject: "client.create.x", Data: []byte("\xffgarbage"), Header: nats.Header{"X": {"y"}}}
	first := publishertest.Command(t, publishertest.NewID(t), "First")
	last := publishertest.Command(t, publishertest.NewID(t), "Last")
	s.publish(messageOf(first), garbage, messageOf(invalid), messageOf(last))
	s.run(consumer.Config{})
	s.drained()
	s.same([]domain.CreateClient{first, last})

	rejections := s.rejections()
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

// A worker leaves commands that were accepted under newer rules. It does not reject them, and they do not keep it from others.
func TestCommandsOfNewerRulesWaitForANewerWorker(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.setAckWait(patientAckWait)
	var log bytes.Buffer
	newer := func() *nats.Msg {
		msg := messageOf(publishertest.Command(t, publishertest.NewID(t), "Newer"))
		msg.Header.Set(domain.HeaderRules, strconv.Itoa(domain.Rules+1))
		msg.Data = []byte(`{"member": "unknown"}`)
		return msg
	}
	metrics := prometheus.NewRegistry()
	stop := s.run(consumer.Config{BatchSize: 2, Log: zerolog.New(zerolog.SyncWriter(&log)), Metrics: metrics})
	s.publish(newer(), newer(), newer())
	commands := s.publishCommands(5)
	s.publish(newer())
	waiting := func() bool { info := s.consumerInfo(); return info.NumPending == 0 && info.NumAckPending == 4 }
	publishertest.Eventually(t, "only the newer commands wait", waiting)
	publishertest.Eventually(t, "they are delivered again", func() bool { return counter(t, metrics, "clientele_worker_newer_commands_total") > 4 })
	stop()
	s.same(commands)
	if !waiting() || len(s.rejections()) > 0 {
		t.Errorf("consumer %+v, rejections %+v", s.consumerInfo(), s.rejections())
	}
	if n := strings.Count(log.String(), "newer worker"); n != 1 {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

// counter returns the value of a counter.
func counter(t *testing.T, metrics prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("no metric " + name)
	return 0
}

func TestASyncTellsAWorkerNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.setAckWait(patientAckWait)
	s.run(consumer.Config{BatchSize: 2})
	sync := func() *nats.Msg { return &nats.Msg{Subject: domain.SubjectSync + publishertest.NewID(t).String()} }
	s.publish(sync(), sync(), sync())
	commands := s.publishCommands(3)
	s.publish(sync())
	s.drained()
	s.same(commands)
	if n := s.deliveries(); n != 7 || len(s.rejections()) != 0 {
		t.Errorf("%d deliveries of 7 messages, rejections %+v", n, s.rejections())
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
			s := newSystem(t)
			s.setAckWait(patientAckWait)
			commands := s.publishCommands(30)
			var calls atomic.Int32
			s.run(consumer.Config{Concurrency: 1, Store: storeFunc(
				func(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
					if calls.Add(1) <= 3 {
						if persisted {
							if _, err := s.store.Create(ctx, clients); err != nil {
								t.Error(err)
							}
						}
						return nil, errors.New("connection lost")
					}
					return s.store.Create(ctx, clients)
				})})
			s.drained()
			s.same(commands)
			if n := s.deliveries(); n != 30 {
				t.Errorf("%d deliveries of 30 commands", n)
			}
			if len(s.rejections()) != 0 {
				t.Errorf("rejections: %+v", s.rejections())
			}
		})
	}
}

// If the store is unavailable for longer than the ack wait, heartbeats prevent redeliveries.
func TestWaitingForTheStoreCostsNoDelivery(t *testing.T) {
	t.Parallel()
	const ackWait = 6 * time.Second // heartbeats every 2 s; a stall of 4 s costs none
	s := newSystem(t)
	s.setAckWait(ackWait)
	commands := s.publishCommands(30)
	away := make(chan struct{})
	time.AfterFunc(5*ackWait/2, func() { close(away) })
	for range 2 { // the second worker would receive a redelivery
		s.run(consumer.Config{Store: storeFunc(func(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
			<-away
			return s.store.Create(ctx, clients)
		})})
	}
	s.drained()
	s.same(commands)
	if n := s.deliveries(); n != 30 {
		t.Errorf("%d deliveries of 30 commands", n)
	}
}

// The worker isolates one unstorable client among 500, at any position, and stores the others.
func TestAnUnstorableClientIsIsolated(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	commands := s.publishCommands(500)
	poison := commands[333].ID
	s.run(consumer.Config{Store: storeFunc(func(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
		for _, c := range clients {
			if c.ID == poison {
				return nil, domain.Errorf(domain.CodeUnstorable, "refused")
			}
		}
		return s.store.Create(ctx, clients)
	})})
	s.drained()
	s.same(slices.Delete(commands, 333, 334))
	rejections := s.rejections()
	if len(rejections) != 1 || rejections[0].ID != poison.String() || rejections[0].Reason != domain.CodeUnstorable {
		t.Errorf("rejections: %+v", rejections)
	}
}

// A record of a rejection that the database refuses for good keeps no command on the log.
func TestARejectionThatTheDatabaseDoesNotRecord(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.setAckWait(patientAckWait)
	db, err := sql.Open("sqlite", "file:"+s.file+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`CREATE UNIQUE INDEX refuse ON rejections (caller)`); err != nil {
		t.Fatal(err)
	}
	var commands []*nats.Msg
	for range 3 {
		commands = append(commands, messageOf(publishertest.Command(t, publishertest.NewID(t), " ")))
	}
	long := messageOf(publishertest.Command(t, publishertest.NewID(t), "Long"))
	long.Header.Set(domain.HeaderCaller, strings.Repeat("x", domain.MaxCaller+1))
	s.publish(append(commands, long)...)
	s.run(consumer.Config{Rejections: s.store})
	s.drained()
	if r := s.rejections(); len(r) != 4 || r[3].Reason != domain.CodeUndecodable {
		t.Errorf("rejections: %+v", r)
	}
	caller := commands[0].Header.Get(domain.HeaderCaller)
	if o, err := s.store.Operations(t.Context(), caller, "", time.Now().Add(-time.Hour), uuid.Nil, 10); err != nil || len(o) != 1 {
		t.Errorf("recorded %+v (%v), want one", o, err)
	}
}

// The worker isolates a client that makes the store panic, too. The value of the panic may contain the client, so it is not logged.
func TestAClientThatMakesTheStorePanic(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.setAckWait(patientAckWait)
	commands := s.publishCommands(20)
	poison := commands[7]
	var log bytes.Buffer
	stop := s.run(consumer.Config{Log: zerolog.New(zerolog.SyncWriter(&log)), Store: storeFunc(func(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
		for _, c := range clients {
			if c.ID == poison.ID {
				panic(c.LastName)
			}
		}
		return s.store.Create(ctx, clients)
	})})
	s.drained()
	stop()
	s.same(slices.Delete(commands, 7, 8))
	s.wantPanic(&log, poison)
}

// wantPanic checks that this command was rejected because of a panic, and that the log has the stack but no personal data.
func (s *system) wantPanic(log *bytes.Buffer, command domain.CreateClient) {
	s.t.Helper()
	if r := s.rejections(); len(r) != 1 || r[0].ID != command.ID.String() || r[0].Reason != domain.CodeUndecodable ||
		!bytes.Equal(r[0].Command.Body, command.Body) {
		s.t.Errorf("rejections: %+v", r)
	}
	if text := log.String(); !strings.Contains(text, "consumer_test.") || !strings.Contains(text, `"panic":"string"`) ||
		strings.Contains(text, command.Details.LastName) {
		s.t.Errorf("log: %s", text)
	}
}

// panicking is a message that makes its decoder panic.
type panicking struct {
	jetstream.Msg
	*sync.Once
}

func (m panicking) Data() []byte {
	m.Do(func() { panic(string(m.Msg.Data())) })
	return m.Msg.Data()
}

func TestAMessageThatMakesTheDecoderPanic(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.setAckWait(patientAckWait)
	commands := s.publishCommands(3)
	var log bytes.Buffer
	worker := s.worker(consumer.Config{Log: zerolog.New(zerolog.SyncWriter(&log))})
	msgs := s.fetch(worker, 3)
	msgs[1] = panicking{msgs[1], new(sync.Once)}
	worker.Work(t.Context(), msgs)
	s.drained()
	s.same([]domain.CreateClient{commands[0], commands[2]})
	s.wantPanic(&log, commands[1])
}

func TestAnotherCommandUnderAKnownID(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stored := publishertest.Command(t, publishertest.NewID(t), "Stored").Client(time.Now())
	if _, err := s.store.Create(context.Background(), []domain.Client{stored}); err != nil {
		t.Fatal(err)
	}
	s.publish(messageOf(publishertest.Command(t, stored.ID, "Other")))
	s.run(consumer.Config{})
	s.drained()
	if got, err := s.store.Get(context.Background(), stored.ID); err != nil || got.LastName != "Stored" {
		t.Errorf("the row is now %+v (%v)", got, err)
	}
	if r := s.rejections(); len(r) != 1 || r[0].Reason != domain.CodeKeyReused {
		t.Errorf("rejections: %+v", r)
	}
	if n := len(s.messages(domain.StreamEvents)); n != 0 {
		t.Errorf("%d events", n)
	}
}

// A late worker finds the tombstone of the client. The rejection does not keep its data.
func TestACommandOfAnErasedClient(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	id := publishertest.NewID(t)
	if _, err := s.store.Erase(context.Background(), id, domain.NewErasure(id, time.Now(), "", "")); err != nil {
		t.Fatal(err)
	}
	s.publish(messageOf(publishertest.Command(t, id, "Erased")))
	s.run(consumer.Config{})
	s.drained()
	if _, err := s.store.Get(context.Background(), id); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("Get returned %v", err)
	}
	if r := s.rejections(); len(r) != 1 || r[0].Reason != domain.CodeErased || len(r[0].Command.Body) > 0 || r[0].Command.Sequence == 0 {
		t.Errorf("rejections: %+v", r)
	}
	if n := len(s.messages(domain.StreamEvents)); n != 0 {
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
			s := newSystem(t)
			commands := s.publishCommands(40)
			outcomes := s.outcomes()
			var calls atomic.Int32
			s.run(consumer.Config{Concurrency: 1, Outcomes: outcomesFunc{outcomes, func(events []domain.Event) error {
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
			s.drained()
			s.same(commands)
		})
	}
}

// A worker that stops while the store is unavailable returns the commands, and another worker receives them immediately.
func TestStoppingWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	commands := s.publishCommands(10)
	tried := make(chan struct{}, 1)
	stop := s.run(consumer.Config{Store: storeFunc(func(context.Context, []domain.Client) ([]domain.CreateResult, error) {
		select {
		case tried <- struct{}{}:
		default:
		}
		return nil, errors.New("away")
	})})
	<-tried
	stop()
	s.run(consumer.Config{})
	s.drained()
	s.same(commands)
}

func TestTheServerGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(consumer.Config{})
	commands := s.publishCommands(20)
	s.drained()
	before := s.nc.Stats().Reconnects
	s.server.Down()
	s.server.Up(t)
	publishertest.Eventually(t, "the connection is back", func() bool { return s.nc.Stats().Reconnects > before && s.nc.IsConnected() })
	commands = append(commands, s.publishCommands(20)...)
	s.drained()
	s.same(commands)
}

func TestAMissingConsumer(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker(consumer.Config{})
	if err := w.Ready(context.Background()); err != nil {
		t.Error(err)
	}
	if err := s.js.DeleteConsumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker); err != nil {
		t.Fatal(err)
	}
	const want = "consumer worker of stream CLIENT_COMMANDS is missing"
	if err := w.Ready(context.Background()); err == nil || err.Error() != want {
		t.Errorf("Ready: %v", err)
	}
}

// An upgrade changes the consumer that an earlier version created.
func TestMigrateChangesTheConsumer(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	want := s.consumerInfo().Config.AckWait
	s.setAckWait(6 * time.Second)
	if err := consumer.Migrate(context.Background(), s.js); err != nil {
		t.Fatal(err)
	}
	if got := s.consumerInfo().Config.AckWait; got != want {
		t.Errorf("the ack wait is %s, want %s", got, want)
	}
}
