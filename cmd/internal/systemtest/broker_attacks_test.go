package systemtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// attacks succeed if a server checks permissions only: each uses a right of the role, and harms with the response.
var attacks = []struct {
	name, role, subject, reply, body string
	harms                            string // key of the state
}{
	{"a subscriber purges the log", "mailer", "$JS.API.CONSUMER.MSG.NEXT.CLIENT_EVENTS.mailer", "$JS.API.STREAM.PURGE.CLIENT_COMMANDS", `{"no_wait":true}`, "CLIENT_COMMANDS start"},
	{"a subscriber deletes the log", "mailer", "$JS.API.CONSUMER.MSG.NEXT.CLIENT_EVENTS.mailer", "$JS.API.STREAM.DELETE.CLIENT_COMMANDS", `{"no_wait":true}`, "CLIENT_COMMANDS"},
	{"a subscriber deletes the consumer of another", "mailer", "$JS.API.CONSUMER.MSG.NEXT.CLIENT_EVENTS.mailer", "$JS.API.CONSUMER.DELETE.CLIENT_EVENTS.crm", `{"no_wait":true}`, "CLIENT_EVENTS consumer crm"},
	{"the ingress purges the events", "ingress", "$JS.API.DIRECT.GET.CLIENT_COMMANDS.client.create." + missingID, "$JS.API.STREAM.PURGE.CLIENT_EVENTS", "", "CLIENT_EVENTS start"},
	{"a command creates a consumer", "ingress", "$JS.API.DIRECT.GET.CLIENT_COMMANDS.client.create." + storedID, "$JS.API.CONSUMER.CREATE.CLIENT_EVENTS.attack", "", "CLIENT_EVENTS consumer attack"},
	{"the ingress forges client.created", "ingress", "client.sync." + missingID, "client.created", "x", "CLIENT_EVENTS end"},
	{"the worker deletes the rejections", "worker", "$JS.API.DIRECT.GET.CLIENT_COMMANDS", "$JS.API.STREAM.DELETE.CLIENT_REJECTIONS", `{"seq":99}`, "CLIENT_REJECTIONS"},
}

func TestResponsesHarmNothing(t *testing.T) {
	t.Parallel()
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			b := withAccounts(t)
			nc, before, o := b.connect(a.role), b.state(), b.observe()
			if err := nc.PublishRequest(a.subject, a.reply, []byte(a.body)); err != nil {
				t.Fatal(err)
			}
			if _, leaks := o.stop(nc, a.role, 1); len(leaks) > 0 {
				t.Errorf("it reaches %v", leaks)
			}
			if after := b.state(); after[a.harms] != before[a.harms] {
				t.Errorf("%s was %q, is %q", a.harms, before[a.harms], after[a.harms])
			}
		})
	}
}

// TestPermissionsDoNotPreventHarm is a control: each attack succeeds if the same rights are permissions in one account.
func TestPermissionsDoNotPreventHarm(t *testing.T) {
	t.Parallel()
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			b := withPermissions(t)
			nc, before := b.connect(a.role), b.state()
			if err := nc.PublishRequest(a.subject, a.reply, []byte(a.body)); err != nil {
				t.Fatal(err)
			}
			publishertest.Eventually(t, "the attack succeeds", func() bool { return b.state()[a.harms] != before[a.harms] })
		})
	}
}

// A wildcard in place of an id would return the newest command of anybody.
func TestTheIngressReadsByIDOnly(t *testing.T) {
	t.Parallel()
	read := func(b *broker, key string) (string, error) {
		msg, err := b.connect("ingress").Request("$JS.API.DIRECT.GET."+key, nil, 10*time.Second)
		if err != nil {
			return "", err
		}
		return string(msg.Data), nil
	}
	accounts, permissions := withAccounts(t), withPermissions(t)
	for _, stream := range []string{"CLIENT_COMMANDS.client.create.", "CLIENT_REJECTIONS.client.rejected."} {
		if body, err := read(accounts, stream+storedID); err != nil || body == "" {
			t.Errorf("%s by its id: %q, %v", stream, body, err)
		}
		if body, err := read(accounts, stream+missingID); err != nil || body != "" {
			t.Errorf("%s by another id: %q, %v", stream, body, err)
		}
		for _, wildcard := range []string{"*", ">", "*.>", "*.*.*.*.*.*", "*-*-*-*-*"} {
			if body, err := read(accounts, stream+wildcard); body != "" || wildcard != "*-*-*-*-*" && !errors.Is(err, nats.ErrNoResponders) {
				t.Errorf("%s by %s: %q, %v", stream, wildcard, body, err)
			}
		}
		if body, err := read(permissions, stream+"*"); err != nil || body == "" { // the control
			t.Errorf("%s by a wildcard with permissions: %q, %v", stream, body, err)
		}
	}
}

// A subscriber consumes by its own consumer, and can do nothing with that of another.
func TestASubscriberHasItsOwnConsumer(t *testing.T) {
	t.Parallel()
	b := withAccounts(t)
	nc := b.connect("mailer")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	own, err := js.Consumer(t.Context(), domain.StreamEvents, "mailer")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := b.js.Publish(t.Context(), domain.SubjectCreated, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	msg, err := own.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := msg.DoubleAck(t.Context()); err != nil {
		t.Errorf("its own event: %v", err)
	}

	crm, err := b.js.Consumer(t.Context(), domain.StreamEvents, "crm")
	if err != nil {
		t.Fatal(err)
	}
	if msg, err = crm.Next(); err != nil {
		t.Fatal(err)
	}
	before := b.state()
	for _, try := range []struct{ subject, body string }{
		{"$JS.API.CONSUMER.INFO.CLIENT_EVENTS.crm", ""},
		{"$JS.API.CONSUMER.MSG.NEXT.CLIENT_EVENTS.crm", `{"no_wait":true}`},
		{"$JS.API.CONSUMER.DELETE.CLIENT_EVENTS.crm", ""},
		{"$JS.API.CONSUMER.RESET.CLIENT_EVENTS.crm", ""},
		{"$JS.API.CONSUMER.PAUSE.CLIENT_EVENTS.crm", fmt.Sprintf(`{"pause_until":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339))},
		{"$JS.API.CONSUMER.DELETE.CLIENT_EVENTS.mailer", ""},
		{msg.Reply(), "+ACK"},
		{msg.Reply(), "+TERM"},
	} {
		if response, err := nc.Request(try.subject, []byte(try.body), 10*time.Second); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: %v, %v", try.subject, response, err)
		}
	}
	if changed := changes(before, b.state()); len(changed) > 0 {
		t.Errorf("the subscriber has changed %v", changed)
	}
}

// An empty message ends the response to a request in another account: the commands after it would wait for seconds.
func TestARetryDoesNotDelayTheCommandsAfterIt(t *testing.T) {
	t.Parallel()
	b := withAccounts(t)
	log, err := publisher.OpenLog(t.Context(), publisher.LogConfig{Conn: b.connect("ingress")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	first, second := publishertest.Command(t, publishertest.NewID(t), "Smith"), publishertest.Command(t, publishertest.NewID(t), "Smith")
	for _, command := range []domain.CreateClient{first, first, second} {
		if _, err := log.Append(t.Context(), command); err != nil {
			t.Fatal(err)
		}
	}
	js, err := jetstream.New(b.connect("worker"))
	if err != nil {
		t.Fatal(err)
	}
	worker, err := js.Consumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		t.Fatal(err)
	}
	commands, err := b.js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "the consumer has seen the last command", func() bool { // the server tells it after the acknowledgement
		info, err := worker.Info(t.Context())
		return err == nil && info.NumPending == commands.CachedInfo().State.Msgs
	})
	batch, err := worker.FetchNoWait(10)
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for msg := range batch.Messages() {
		last = msg.Subject()
	}
	if want := domain.SubjectCreate + second.ID.String(); last != want || batch.Error() != nil {
		t.Errorf("the last command is %s, want %s: %v", last, want, batch.Error())
	}
}
