package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/store"
	"clientele/store/sqlite"
	"clientele/store/storetest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// system is a server with Clientele's streams and consumer, and a store.
type system struct {
	t      testing.TB
	server *publishertest.Server
	nc     *nats.Conn
	js     jetstream.JetStream
	store  store.Store
	file   string // of the store
}

func newSystem(t testing.TB) *system {
	t.Helper()
	ctx := context.Background()
	server := publishertest.Start(t)
	nc := server.Connect(t)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(20*time.Second)) // the disk may be slow
	if err != nil {
		t.Fatal(err)
	}
	if err := consumer.Migrate(ctx, js); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "test.db")
	db, err := sqlite.Open(ctx, sqlite.Config{Path: file})
	return &system{t: t, server: server, nc: nc, js: js, store: storetest.Migrated(t, db, err), file: file}
}

// worker returns a worker that is not running. It uses the store and the outcomes of the system, unless cfg has others. Without a
// log in cfg, it logs nothing: the zero logger discards.
func (s *system) worker(cfg consumer.Config) *consumer.Worker {
	s.t.Helper()
	cfg.Conn = s.nc
	if cfg.Store == nil {
		cfg.Store = s.store
	}
	if cfg.Outcomes == nil {
		cfg.Outcomes = s.outcomes()
	}
	w, err := consumer.New(context.Background(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return w
}

func (s *system) outcomes() *publisher.OutcomePublisher {
	s.t.Helper()
	outcomes, err := publisher.OpenOutcomePublisher(context.Background(), s.nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return outcomes
}

// run runs a worker until the test ends or stop is called. stop waits for the worker.
func (s *system) run(cfg consumer.Config) (stop func()) {
	s.t.Helper()
	w := s.worker(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	s.t.Cleanup(stop)
	return stop
}

// fetch returns n commands. A fetch of a worker gives up after a second; the server delivers again what it missed.
func (s *system) fetch(w *consumer.Worker, n int) (msgs []jetstream.Msg) {
	s.t.Helper()
	publishertest.Eventually(s.t, "commands are delivered", func() bool {
		some, err := w.Fetch()
		if err != nil {
			s.t.Fatal(err)
		}
		msgs = append(msgs, some...)
		return len(msgs) >= n
	})
	if len(msgs) > n {
		s.t.Fatalf("%d messages, want %d", len(msgs), n)
	}
	return msgs
}

// publish puts messages on the command log.
func (s *system) publish(msgs ...*nats.Msg) {
	s.t.Helper()
	for _, msg := range msgs {
		if _, err := s.js.PublishMsg(context.Background(), msg); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *system) consumerInfo() *jetstream.ConsumerInfo {
	s.t.Helper()
	c, err := s.js.Consumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		s.t.Fatal(err)
	}
	return c.CachedInfo()
}

// patientAckWait is an ack wait that is not over when a disk or a processor stalls, for tests that count deliveries.
const patientAckWait = 9 * time.Second

// setAckWait changes the consumer for workers that are created later.
func (s *system) setAckWait(d time.Duration) {
	s.t.Helper()
	config := s.consumerInfo().Config
	config.AckWait = d
	if _, err := s.js.UpdateConsumer(context.Background(), domain.StreamCommands, config); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) stream(name string) jetstream.Stream {
	s.t.Helper()
	stream, err := s.js.Stream(context.Background(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return stream
}

func (s *system) messages(stream string) []*jetstream.RawStreamMsg {
	s.t.Helper()
	found := s.stream(stream)
	var msgs []*jetstream.RawStreamMsg
	state := found.CachedInfo().State
	for seq := max(state.FirstSeq, 1); seq <= state.LastSeq; seq++ {
		msg, err := found.GetMsg(context.Background(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			s.t.Fatal(err)
		}
		msgs = append(msgs, msg)
	}
	return msgs
}

// purge removes the messages of a stream.
func (s *system) purge(stream string) {
	s.t.Helper()
	found := s.stream(stream)
	if err := found.Purge(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// purgeBelow removes the messages below a sequence.
func (s *system) purgeBelow(stream string, sequence uint64) {
	s.t.Helper()
	found := s.stream(stream)
	if err := found.Purge(context.Background(), jetstream.WithPurgeSequence(sequence)); err != nil {
		s.t.Fatal(err)
	}
}

// renew recreates a stream. After a purge, it would still remember message ids.
func (s *system) renew(stream string) {
	s.t.Helper()
	found := s.stream(stream)
	if err := s.js.DeleteStream(context.Background(), stream); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.js.CreateStream(context.Background(), found.CachedInfo().Config); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) rejections() []domain.Rejection {
	s.t.Helper()
	var rejections []domain.Rejection
	for _, msg := range s.messages(domain.StreamRejections) {
		r, err := domain.ParseRejection(msg.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		rejections = append(rejections, r)
	}
	return rejections
}

// drained waits until every command is acknowledged.
func (s *system) drained() {
	s.t.Helper()
	publishertest.Eventually(s.t, "the log is drained", func() bool {
		info := s.consumerInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	})
}

// messageOf returns the message of a command as an ingress publishes it.
func messageOf(c domain.CreateClient) *nats.Msg {
	return &nats.Msg{
		Subject: domain.SubjectCreate + c.ID.String(),
		Data:    c.Body,
		Header: nats.Header{
			domain.HeaderFingerprint: {c.Fingerprint.String()},
			domain.HeaderCaller:      {c.Caller},
			domain.HeaderAcceptedAt:  {c.AcceptedAt.Format(time.RFC3339Nano)},
		},
	}
}

// deliveries returns the number of deliveries, including redeliveries.
func (s *system) deliveries() int {
	s.t.Helper()
	return int(s.consumerInfo().Delivered.Consumer)
}

// same checks that each command has its row and exactly one event with the record of the row.
func (s *system) same(commands []domain.CreateClient) {
	s.t.Helper()
	events := map[string][]byte{}
	for _, msg := range s.messages(domain.StreamEvents) {
		id := msg.Header.Get("ce-subject")
		if events[id] != nil {
			s.t.Errorf("%s has a second event", id)
		}
		events[id] = msg.Data
	}
	if len(events) != len(commands) {
		s.t.Errorf("%d events for %d commands", len(events), len(commands))
	}
	for _, c := range commands {
		client, err := s.store.Get(context.Background(), c.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		row, err := client.JSON()
		if err != nil {
			s.t.Fatal(err)
		}
		if !bytes.Equal(row, events[c.ID.String()]) {
			s.t.Errorf("row %s\nevent %s", row, events[c.ID.String()])
		}
	}
}

func (s *system) publishCommands(n int) []domain.CreateClient {
	s.t.Helper()
	commands := make([]domain.CreateClient, n)
	for i := range commands {
		commands[i] = publishertest.Command(s.t, publishertest.NewID(s.t), fmt.Sprintf("Smith %d", i))
		s.publish(messageOf(commands[i]))
	}
	return commands
}
