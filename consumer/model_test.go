package consumer_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"testing"
	"time"

	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"
)

// TestModel runs random actions of a worker with random faults, and compares the rows, the events, the rejections and the acks with
// a model.
//
// A check has about thirty actions on a real server and a real database, and each fault costs a backoff. So the default is fewer
// checks than rapid's hundred. -rapid.checks or RAPID_CHECKS set the number for each system.
func TestModel(t *testing.T) {
	const systems, checks = 4, "12"
	const name = "rapid.checks"
	_, chosen := os.LookupEnv("RAPID_CHECKS")
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == name })
	if !chosen {
		// Rapid has no other way. No other test of this package uses rapid, so the value may remain set.
		if err := flag.Set(name, checks); err != nil {
			t.Fatal(err)
		}
	}
	for i := range systems {
		t.Run(fmt.Sprint("system ", i), func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.setAckWait(time.Minute) // the model decides when it is over, however slow the machine is
			rapid.Check(t, func(t *rapid.T) {
				m := newModel(t, s)
				t.Repeat(map[string]func(*rapid.T){
					"publish": m.publish,
					"fault":   m.fault,
					"work":    m.work,
					"drain":   m.drain,
					"hang":    m.hang,
					"late":    m.late,
					"trim":    m.trim,
				})
				m.heal()
				m.drain(t)
			})
		})
	}
}

// command is a command on the log.
type command struct {
	id       string
	seq      uint64
	msg      *nats.Msg
	command  domain.CreateClient
	reason   domain.Code   // why it must be rejected, or ""
	done     bool          // a worker finished it
	outcomes int           // number of its events or rejections
	delivery jetstream.Msg // the last one
}

// model is the expected state of a system.
type model struct {
	s      *system
	faults *faults
	worker *consumer.Worker
	since  time.Time

	ids      []string // the first is not a UUID
	rows     map[string]domain.Client
	events   map[string]nats.Header // the attributes of a row's first event
	log      map[string]*command
	commands map[uint64]*command // all commands ever on the log, by sequence
	hung     [][]jetstream.Msg   // batches of hanging workers, whose ack wait is over
}

// newModel clears the streams of the system. Its ids are new, so the rows of earlier models do not matter.
func newModel(t *rapid.T, s *system) *model {
	for _, stream := range []string{domain.StreamCommands, domain.StreamRejections} {
		s.purge(stream)
	}
	s.renew(domain.StreamEvents)
	m := &model{
		s:        s,
		faults:   &faults{store: s.store, outcomes: s.outcomes(), calls: map[string]fault{}},
		since:    domain.Timestamp(time.Now()),
		ids:      []string{"x"},
		rows:     map[string]domain.Client{},
		events:   map[string]nats.Header{},
		log:      map[string]*command{},
		commands: map[uint64]*command{},
	}
	for range 4 {
		m.ids = append(m.ids, publishertest.NewID(s.t).String())
	}
	m.worker = s.worker(consumer.Config{
		Store: m.faults, Outcomes: m.faults,
		BatchSize: rapid.IntRange(1, 5).Draw(t, "batch size"),
	})
	return m
}

// publish publishes commands to the log, which refuses duplicate ids.
func (m *model) publish(t *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(t, "commands") {
		id := rapid.SampledFrom(m.ids).Draw(t, "id")
		v := variants[rapid.IntRange(0, len(variants)-1).Draw(t, "variant")]
		c := &command{id: id, reason: v.reason}
		known, err := uuid.Parse(id)
		if err != nil {
			c.reason = domain.CodeUndecodable
		}
		c.command = publishertest.Command(m.s.t, known, v.name)
		c.msg = messageOf(c.command)
		c.msg.Subject = domain.SubjectCreate + id
		if v.change != nil {
			v.change(c.msg)
		}
		row, stored := m.rows[id]
		if c.reason == "" && stored && row.Fingerprint != c.command.Fingerprint {
			c.reason = domain.CodeKeyReused
		}
		ack, err := m.s.js.PublishMsg(context.Background(), c.msg)
		if m.log[id] != nil {
			if api, ok := errors.AsType[*jetstream.APIError](err); !ok || api.Description != "maximum messages per subject exceeded" {
				t.Fatalf("a second command for an id on the log: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		c.seq = ack.Sequence
		m.log[id], m.commands[c.seq] = c, c
	}
}

// fault makes a later call fail, the worker die, or the worker stop.
func (m *model) fault(t *rapid.T) {
	what := rapid.SampledFrom([]string{callStore, callEvents, callRejections, "crash"}).Draw(t, "what fails")
	if what == "crash" {
		m.faults.crash = rapid.SampledFrom([]string{callStore, callEvents, callRejections}).Draw(t, "after which call")
		return
	}
	f := fault{
		after:  rapid.IntRange(0, 2).Draw(t, "after"),
		effect: rapid.SampledFrom([]string{nothing, half, all}).Draw(t, "effect"),
		worker: rapid.SampledFrom([]string{working, stopping}).Draw(t, "worker"),
	}
	f.works = f.worker == stopping && rapid.Bool().Draw(t, "works")
	m.faults.calls[what] = f
}

func (m *model) heal() {
	clear(m.faults.calls)
	m.faults.crash = ""
}

// work makes a worker process a batch.
func (m *model) work(t *rapid.T) {
	if len(m.open()) > 0 {
		m.carry(t, m.fetch(t))
	}
}

// drain makes the worker, or its successors, work until the log has no open command.
func (m *model) drain(t *rapid.T) {
	for len(m.open()) > 0 {
		m.work(t)
	}
}

// hang makes a worker fetch a batch and do nothing until its ack wait is over.
func (m *model) hang(t *rapid.T) {
	if len(m.open()) == 0 {
		return
	}
	msgs := m.fetch(t)
	for _, msg := range msgs {
		m.expire(t, msg)
	}
	m.hung = append(m.hung, msgs)
}

// late makes a hanging worker continue with its batch, which others may have processed meanwhile.
func (m *model) late(t *rapid.T) {
	if len(m.hung) > 0 {
		msgs := m.hung[0]
		m.hung = m.hung[1:]
		m.carry(t, msgs)
	}
}

// expire ends the server's ack wait for a delivery. It bypasses the client library, which would otherwise refuse to send the worker's
// ack later.
func (m *model) expire(t *rapid.T, msg jetstream.Msg) {
	if err := m.s.nc.Publish(msg.Reply(), []byte("-NAK")); err != nil {
		t.Fatal(err)
	}
}

// trim removes finished commands up to the first open one. A purge makes nats-server 2.15 forget which commands were returned: it
// redelivers them after another ack wait, which is over immediately here.
func (m *model) trim(t *rapid.T) {
	if err := arrived(func() error { return m.worker.Trim(context.Background()) }); err != nil { // its limit is 5 s
		t.Fatal(err)
	}
	keep := m.firstOpen()
	maps.DeleteFunc(m.log, func(_ string, c *command) bool { return c.seq < keep })
	for _, c := range m.log {
		if !c.done && c.delivery != nil {
			m.expire(t, c.delivery)
		}
	}
	m.look(t, nil)
}

func (m *model) fetch(t *rapid.T) []jetstream.Msg {
	const patience = 10 // fetches of a second each
	for range patience {
		msgs, err := m.worker.Fetch()
		if err != nil {
			t.Fatal(err)
		}
		if len(msgs) == 0 {
			continue
		}
		for _, msg := range msgs {
			m.commandOf(t, msg).delivery = msg
		}
		return msgs
	}
	t.Fatalf("%d commands are open, none is delivered", len(m.open()))
	return nil
}

func (m *model) commandOf(t *rapid.T, msg jetstream.Msg) *command {
	meta, err := msg.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	return m.commands[meta.Sequence.Stream]
}

// carry passes the batch to the worker and checks the results.
func (m *model) carry(t *rapid.T, msgs []jetstream.Msg) {
	hand := make(map[string]*command, len(msgs))
	for _, msg := range msgs {
		c := m.commandOf(t, msg)
		hand[c.id] = c
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	m.faults.stop, m.faults.stops, m.faults.gaveUp = stop, false, false
	if died := m.attempt(ctx, msgs); died {
		for _, msg := range msgs {
			m.expire(t, msg)
		}
	}
	if !m.faults.gaveUp {
		for _, c := range hand {
			c.done = true
		}
	}
	m.look(t, hand)
}

// attempt processes a batch and reports whether the worker died. A worker that dies ends its goroutine: it recovers from a panic.
func (m *model) attempt(ctx context.Context, msgs []jetstream.Msg) (died bool) {
	died = true
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.worker.Work(ctx, msgs)
		died = false
	}()
	<-done
	return died
}
