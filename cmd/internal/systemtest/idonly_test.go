package systemtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// wiretap collects everything that an account receives.
type wiretap struct {
	mu   sync.Mutex
	msgs []*nats.Msg
}

func (w *wiretap) add(msg *nats.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.msgs = append(w.msgs, msg)
}

// about returns the messages of a client on this subject, or that a consumer delivered.
func (w *wiretap) about(id, subject string) (msgs []*nats.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, msg := range w.msgs {
		if msg.Header.Get("ce-subject") == id && (msg.Subject == subject || subject == "" && msg.Reply != "") {
			msgs = append(msgs, msg)
		}
	}
	return msgs
}

// leaks returns the messages with the text.
func (w *wiretap) leaks(text string) (leaks []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, msg := range w.msgs {
		if all := fmt.Sprint(msg.Subject, msg.Header, string(msg.Data)); strings.Contains(all, text) {
			leaks = append(leaks, all)
		}
	}
	return leaks
}

// TestASubscriberReceivesIDsOnly gives the subscriber of deploy/nats a consumer without bodies. It then tries each way to a body: its
// deliveries and redeliveries, a replay, other requests, and a change of its consumer.
func TestASubscriberReceivesIDsOnly(t *testing.T) {
	t.Parallel()
	const mark = "Zqmark"
	f := testcluster.NewSecured(t)
	operator := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := testcluster.RunLine(t, args...)
		if status != cli.ExitOK {
			t.Fatalf("%v: %d: %s%s", args, status, stdout, stderr)
		}
		return stdout
	}
	operator(append([]string{"events", "subscribe", "mailer", "--event-fields=id-only"}, f.NatsFlags("operator")...)...)
	ingress := testcluster.Clientele(t, "ingress", f.Flags("ingress", "ingress")...)
	worker := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	operation := testcluster.Accepted(t, ingress.API(), fmt.Sprintf(testcluster.MarkedClient, mark), "")
	testcluster.Succeeded(t, ingress.API(), operation)
	id := operation[strings.LastIndex(operation, "/")+1:]

	nc := f.Connect("mailer")
	tap := &wiretap{}
	if _, err := nc.Subscribe(">", tap.add); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(t.Context(), domain.StreamEvents, "mailer")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second is a redelivery
		msg, err := consumer.Next(jetstream.FetchMaxWait(20 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if get := msg.Headers().Get; len(msg.Data()) > 0 || get("ce-subject") != id || get("ce-type") != domain.SubjectCreated || get("ce-id") == "" || get("ce-time") == "" {
			t.Errorf("an event has the headers %v and %d bytes", msg.Headers(), len(msg.Data()))
		}
		if err := msg.Nak(); err != nil {
			t.Fatal(err)
		}
	}
	const subject = "client.replay.mailer"
	operator(append([]string{"events", "replay", "--since=1h", "--yes", "--subject=" + subject}, f.Flags("operator", "operator")...)...)
	publishertest.Eventually(t, "the replay arrives", func() bool { return len(tap.about(id, subject)) == 1 })

	settings := consumer.CachedInfo().Config
	settings.HeadersOnly = false
	if _, err := js.UpdateConsumer(t.Context(), domain.StreamEvents, settings); err == nil {
		t.Error("the subscriber changes its consumer")
	}
	for subject, body := range map[string]string{
		"$JS.API.CONSUMER.CREATE.CLIENT_EVENTS.mailer":           `{"stream_name":"CLIENT_EVENTS","config":{"durable_name":"mailer","ack_policy":"explicit"}}`,
		"$JS.API.CONSUMER.DURABLE.CREATE.CLIENT_EVENTS.mailer":   `{"stream_name":"CLIENT_EVENTS","config":{"durable_name":"mailer","ack_policy":"explicit"}}`,
		"$JS.API.CONSUMER.DELETE.CLIENT_EVENTS.mailer":           "",
		"$JS.API.DIRECT.GET.CLIENT_EVENTS":                       `{"seq":1}`,
		"$JS.API.DIRECT.GET.CLIENT_EVENTS.client.created":        "",
		"$JS.API.STREAM.MSG.GET.CLIENT_EVENTS":                   `{"seq":1}`,
		"$JS.API.CONSUMER.MSG.NEXT.CLIENT_EVENTS.mailer":         `{"batch":1,"expires":10000000000}`,
		"$JS.API.CONSUMER.INFO.CLIENT_EVENTS.mailer":             "",
		"$JS.API.DIRECT.GET.CLIENT_COMMANDS.client.create." + id: "",
		"$JS.API.STREAM.SNAPSHOT.CLIENT_EVENTS":                  `{"deliver_subject":"mine"}`,
	} {
		if err := nc.PublishRequest(subject, nc.NewRespInbox(), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "a request delivers the event again", func() bool { return len(tap.about(id, "")) >= 3 })
	if out := operator(append([]string{"events", "ls"}, f.NatsFlags("operator")...)...); !strings.Contains(out, "id-only") {
		t.Errorf("the consumer is %s", out)
	}

	// A webhook receives no body either.
	receiver := testcluster.NewReceiver(t)
	operator(append([]string{"webhooks", "add", "crm", receiver.URL, "--event-fields=id-only", "--since=1h"}, f.NatsFlags("operator")...)...)
	forward := testcluster.Clientele(t, "forward", f.NatsFlags("forward")...)
	publishertest.Eventually(t, "the event is delivered", func() bool { return receiver.Has(id) })
	operator(append([]string{"webhooks", "redeliver", "crm", "--since=1h", "--yes"}, f.NatsFlags("operator")...)...)
	if request, body := receiver.Last(); receiver.Accepted(id) < 2 || body != "" || request.Header.Get("Content-Type") != "" {
		t.Errorf("a webhook receives %v %s", request.Header, body)
	}
	forward.Stop()
	if leaks := tap.leaks(mark); len(leaks) > 0 {
		t.Errorf("the subscriber receives %v", leaks)
	}

	// The operator changes the setting: the record of the same events is delivered.
	operator(append([]string{"events", "subscribe", "mailer", "--event-fields=full"}, f.NatsFlags("operator")...)...)
	operator(append([]string{"events", "replay", "--since=1h", "--yes", "--subject=" + subject}, f.Flags("operator", "operator")...)...)
	publishertest.Eventually(t, "the record is replayed", func() bool { return len(tap.leaks(mark)) > 0 })
	ingress.Stop()
	worker.Stop()
}
