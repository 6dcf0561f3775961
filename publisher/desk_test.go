package publisher_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// desk has the streams, an operator's view of them, and a worker that the test controls.
type desk struct {
	t          *testing.T
	nc         *nats.Conn
	js         jetstream.JetStream
	log        *publisher.Log
	outcomes   *publisher.OutcomePublisher
	rejections *publisher.Rejections
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, nc: publishertest.Start(t).Connect(t)}
	d.log = openLog(t, d.nc, 0)
	var err error
	if d.js, err = jetstream.New(d.nc); err != nil {
		t.Fatal(err)
	}
	if err := consumer.Migrate(t.Context(), d.js); err != nil {
		t.Fatal(err)
	}
	if d.outcomes, err = publisher.OpenOutcomePublisher(t.Context(), d.nc); err != nil {
		t.Fatal(err)
	}
	if d.rejections, err = publisher.OpenRejections(t.Context(), d.nc); err != nil {
		t.Fatal(err)
	}
	return d
}

// post publishes a message to the command log.
func (d *desk) post(msg *nats.Msg) {
	d.t.Helper()
	if _, err := d.js.PublishMsg(d.t.Context(), msg); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) postID(id, body string) {
	d.t.Helper()
	d.post(&nats.Msg{Subject: domain.SubjectCreate + id, Data: []byte(body)})
}

// work fetches n commands from the log, rejects the selected ones, and acknowledges all.
func (d *desk) work(n int, rejected bool) {
	d.t.Helper()
	for _, msg := range d.take(n) {
		d.finish(msg, rejected)
	}
}

func (d *desk) take(n int) []jetstream.Msg {
	d.t.Helper()
	worker, err := d.js.Consumer(d.t.Context(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		d.t.Fatal(err)
	}
	batch, err := worker.Fetch(n)
	if err != nil {
		d.t.Fatal(err)
	}
	var msgs []jetstream.Msg
	for msg := range batch.Messages() {
		msgs = append(msgs, msg)
	}
	if len(msgs) != n {
		d.t.Fatalf("%d commands on the log, want %d", len(msgs), n)
	}
	return msgs
}

func (d *desk) finish(msg jetstream.Msg, rejected bool) {
	d.t.Helper()
	if rejected {
		meta, err := msg.Metadata()
		if err != nil {
			d.t.Fatal(err)
		}
		d.reject(domain.Rejection{
			ID:         strings.TrimPrefix(msg.Subject(), domain.SubjectCreate),
			Reason:     domain.CodeUnstorable,
			RejectedAt: domain.Timestamp(time.Now()),
			Command:    domain.RejectedCommand{Sequence: meta.Sequence.Stream, Headers: msg.Headers(), Body: msg.Data()},
		})
	}
	if err := msg.DoubleAck(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) reject(rejections ...domain.Rejection) {
	d.t.Helper()
	for few := range slices.Chunk(rejections, 50) { // a slow disk syncs this many within the publish timeout
		if err := d.outcomes.PublishRejections(few); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *desk) get(id string) publisher.StoredRejection {
	d.t.Helper()
	r, err := d.rejections.Get(d.t.Context(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

func (d *desk) retry(id string) {
	d.t.Helper()
	if err := d.rejections.Retry(d.t.Context(), d.get(id)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) wantSkipped(err error, reason string) {
	d.t.Helper()
	if skipped, ok := errors.AsType[*publisher.SkippedError](err); !ok || !strings.Contains(skipped.Reason, reason) {
		d.t.Errorf("error %v, want skipped: %s", err, reason)
	}
}

// bodies returns the messages of a stream by the last token of the subject.
func (d *desk) bodies(name string) map[string]string {
	d.t.Helper()
	bodies := map[string]string{}
	for _, msg := range d.messages(name) {
		bodies[msg.Subject[strings.LastIndex(msg.Subject, ".")+1:]] = string(msg.Data)
	}
	return bodies
}

func (d *desk) messages(name string) []*jetstream.RawStreamMsg {
	d.t.Helper()
	stream, err := d.js.Stream(d.t.Context(), name)
	if err != nil {
		d.t.Fatal(err)
	}
	var msgs []*jetstream.RawStreamMsg
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		if msg, err := stream.GetMsg(d.t.Context(), seq); err == nil {
			msgs = append(msgs, msg)
		}
	}
	return msgs
}

// want checks which commands are on the log, by id and body, and which ids have a rejection.
func (d *desk) want(commands map[string]string, rejections ...string) {
	d.t.Helper()
	if got := d.bodies(domain.StreamCommands); !maps.Equal(got, commands) {
		d.t.Errorf("commands %q, want %q", got, commands)
	}
	if got := slices.Sorted(maps.Keys(d.bodies(domain.StreamRejections))); !slices.Equal(got, rejections) {
		d.t.Errorf("rejections of %q, want %q", got, rejections)
	}
}
