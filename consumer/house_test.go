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
	"github.com/rs/zerolog"
)

// house is a server with Clientele's streams and consumer, and a store.
type house struct {
	t      testing.TB
	server *publishertest.Server
	nc     *nats.Conn
	js     jetstream.JetStream
	store  store.Store
}

func newHouse(t testing.TB) *house {
	t.Helper()
	ctx := context.Background()
	server := publishertest.Start(t)
	nc := server.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := consumer.Migrate(ctx, js); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	return &house{t: t, server: server, nc: nc, js: js, store: storetest.Migrated(t, db, err)}
}

// worker returns a worker that is not running. It uses the store and the outcomes of the house, unless cfg has others.
func (h *house) worker(cfg consumer.Config) *consumer.Worker {
	h.t.Helper()
	cfg.Conn = h.nc
	cfg.Log = zerolog.Nop()
	if cfg.Store == nil {
		cfg.Store = h.store
	}
	if cfg.Outcomes == nil {
		cfg.Outcomes = h.outcomes()
	}
	w, err := consumer.New(context.Background(), cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	return w
}

func (h *house) outcomes() *publisher.OutcomePublisher {
	h.t.Helper()
	outcomes, err := publisher.OpenOutcomePublisher(context.Background(), h.nc)
	if err != nil {
		h.t.Fatal(err)
	}
	return outcomes
}

// run runs a worker until the test ends or stop is called. stop waits for the worker.
func (h *house) run(cfg consumer.Config) (stop func()) {
	h.t.Helper()
	w := h.worker(cfg)
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
	h.t.Cleanup(stop)
	return stop
}

// publish puts messages on the command log.
func (h *house) publish(msgs ...*nats.Msg) {
	h.t.Helper()
	for _, msg := range msgs {
		if _, err := h.js.PublishMsg(context.Background(), msg); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) consumerInfo() *jetstream.ConsumerInfo {
	h.t.Helper()
	c, err := h.js.Consumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		h.t.Fatal(err)
	}
	return c.CachedInfo()
}

func (h *house) messages(stream string) []*jetstream.RawStreamMsg {
	h.t.Helper()
	s, err := h.js.Stream(context.Background(), stream)
	if err != nil {
		h.t.Fatal(err)
	}
	var msgs []*jetstream.RawStreamMsg
	state := s.CachedInfo().State
	for seq := max(state.FirstSeq, 1); seq <= state.LastSeq; seq++ {
		msg, err := s.GetMsg(context.Background(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			h.t.Fatal(err)
		}
		msgs = append(msgs, msg)
	}
	return msgs
}

// purge removes the messages of a stream.
func (h *house) purge(stream string) {
	h.t.Helper()
	s, err := h.js.Stream(context.Background(), stream)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := s.Purge(context.Background()); err != nil {
		h.t.Fatal(err)
	}
}

// renew recreates a stream. After a purge, it would still remember message ids.
func (h *house) renew(stream string) {
	h.t.Helper()
	s, err := h.js.Stream(context.Background(), stream)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.js.DeleteStream(context.Background(), stream); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.js.CreateStream(context.Background(), s.CachedInfo().Config); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) rejections() []domain.Rejection {
	h.t.Helper()
	var rejections []domain.Rejection
	for _, msg := range h.messages(domain.StreamRejections) {
		r, err := domain.ParseRejection(msg.Data)
		if err != nil {
			h.t.Fatal(err)
		}
		rejections = append(rejections, r)
	}
	return rejections
}

// drained waits until every command is acknowledged.
func (h *house) drained() {
	h.t.Helper()
	publishertest.Eventually(h.t, "the log is drained", func() bool {
		info := h.consumerInfo()
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
func (h *house) deliveries() int {
	h.t.Helper()
	return int(h.consumerInfo().Delivered.Consumer)
}

// same checks that each command has its row and exactly one event with the record of the row.
func (h *house) same(commands []domain.CreateClient) {
	h.t.Helper()
	events := map[string][]byte{}
	for _, msg := range h.messages(domain.StreamEvents) {
		id := msg.Header.Get("ce-subject")
		if events[id] != nil {
			h.t.Errorf("%s has a second event", id)
		}
		events[id] = msg.Data
	}
	if len(events) != len(commands) {
		h.t.Errorf("%d events for %d commands", len(events), len(commands))
	}
	for _, c := range commands {
		client, err := h.store.Get(context.Background(), c.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		row, err := client.JSON()
		if err != nil {
			h.t.Fatal(err)
		}
		if !bytes.Equal(row, events[c.ID.String()]) {
			h.t.Errorf("row %s\nevent %s", row, events[c.ID.String()])
		}
	}
}

func (h *house) publishCommands(n int) []domain.CreateClient {
	h.t.Helper()
	commands := make([]domain.CreateClient, n)
	for i := range commands {
		commands[i] = publishertest.Command(h.t, publishertest.NewID(h.t), fmt.Sprintf("Smith %d", i))
		h.publish(messageOf(commands[i]))
	}
	return commands
}
