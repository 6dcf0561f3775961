package systemtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	storedID  = "0190d0c5-0000-7000-8000-000000000000" // of a command and of a rejection
	missingID = "0190d0c5-0000-7000-8000-000000000001"
)

// rights has the subjects in the account of the streams that each role may use. ID is a token without wildcards. The operator is not
// here: it owns the account.
var rights = map[string][]string{
	"ingress": {
		"client.create.*",
		"client.sync.*",
		"client.audit.client_read",
		"client.audit.refused",
		"client.audit.key_added",
		"client.audit.key_revoked",
		"$JS.API.STREAM.INFO.CLIENT_AUDIT",
		"$JS.API.STREAM.INFO.CLIENT_COMMANDS",
		"$JS.API.STREAM.INFO.CLIENT_REJECTIONS",
		"$JS.API.CONSUMER.INFO.CLIENT_COMMANDS.worker",
		"$JS.API.DIRECT.GET.CLIENT_COMMANDS.client.create.ID",
		"$JS.API.DIRECT.GET.CLIENT_REJECTIONS.client.rejected.ID",
		"presence.ingress",
	},
	"worker": {
		"client.created",
		"client.rejected.*",
		"$JS.API.STREAM.INFO.CLIENT_AUDIT",
		"$JS.API.STREAM.INFO.CLIENT_COMMANDS",
		"$JS.API.STREAM.INFO.CLIENT_EVENTS",
		"$JS.API.STREAM.INFO.CLIENT_REJECTIONS",
		"$JS.API.CONSUMER.INFO.CLIENT_COMMANDS.worker",
		"$JS.API.CONSUMER.MSG.NEXT.CLIENT_COMMANDS.worker",
		"$JS.ACK.CLIENT_COMMANDS.worker.>",
		"$JS.API.DIRECT.GET.CLIENT_COMMANDS",
		"$JS.API.DIRECT.GET.CLIENT_EVENTS",
		"$JS.API.STREAM.PURGE.CLIENT_COMMANDS",
		"presence.worker",
	},
	"mailer": {
		"$JS.API.CONSUMER.INFO.CLIENT_EVENTS.mailer",
		"$JS.API.CONSUMER.MSG.NEXT.CLIENT_EVENTS.mailer",
		"$JS.ACK.CLIENT_EVENTS.mailer.>",
	},
	"forward": {
		"$JS.API.STREAM.INFO.CLIENT_COMMANDS",
		"$JS.API.STREAM.INFO.KV_CLIENT_WEBHOOKS",
		"$JS.API.DIRECT.GET.KV_CLIENT_WEBHOOKS",
		"$KV.CLIENT_WEBHOOKS.health.*",
		"$KV.CLIENT_WEBHOOKS.deliveries.*",
		"$JS.API.CONSUMER.INFO.CLIENT_EVENTS.*",
		"$JS.API.CONSUMER.MSG.NEXT.CLIENT_EVENTS.*",
		"$JS.ACK.CLIENT_EVENTS.*.>",
		"client.undelivered.*.*",
		"client.position.*",
		"presence.forward",
	},
}

// may reports whether a role has a right to the subject.
func may(role, subject string) bool {
	return slices.ContainsFunc(rights[role], func(right string) bool { return covers(right, subject) })
}

func covers(right, subject string) bool {
	tokens := strings.Split(subject, ".")
	for i, want := range strings.Split(right, ".") {
		switch {
		case want == ">":
			return len(tokens) > i
		case i == len(tokens), want == "ID" && (tokens[i] == "*" || tokens[i] == ">"), want != "ID" && want != "*" && want != tokens[i]:
			return false
		}
	}
	return len(tokens) == len(strings.Split(right, "."))
}

// broker is a NATS server with the streams, the consumers of the workers and of two subscribers, and a message on each stream.
type broker struct {
	t      *testing.T
	server *testcluster.NATSServer
	url    string
	admin  *nats.Conn // may do everything in the account of the streams
	js     jetstream.JetStream
}

// withAccounts starts a server with deploy/nats/accounts.conf.
func withAccounts(t *testing.T) *broker {
	t.Helper()
	return startBroker(t, nil, map[string]string{"users: [{\n      user: operator": "users: [{user: admin, password: " + testcluster.Password + "}, {\n      user: operator"})
}

// withPermissions starts a server that grants the same rights by permissions in one account.
func withPermissions(t *testing.T) *broker {
	t.Helper()
	var users strings.Builder
	fmt.Fprintf(&users, "authorization { users: [{user: admin, password: %s}\n", testcluster.Password)
	for role, rights := range rights {
		fmt.Fprintf(&users, "{user: %s, password: %s, permissions: {publish: [\"%s\"], subscribe: \"_INBOX_%s.>\"}}\n", role, testcluster.Password,
			strings.ReplaceAll(strings.Join(rights, `", "`), ".ID", ".*"), role)
	}
	users.WriteString("] }")
	return startBroker(t, map[string]string{`include "accounts.conf"`: users.String()}, nil)
}

func startBroker(t *testing.T, main, all map[string]string) *broker {
	t.Helper()
	b := &broker{t: t, server: testcluster.StartNATSServerWith(t, main, all)}
	b.url = b.server.URL
	b.admin = b.connect("admin")
	var err error
	if b.js, err = jetstream.New(b.admin); err != nil {
		t.Fatal(err)
	}
	if err := streams.Migrate(t.Context(), b.js, streams.Config{}); err != nil {
		t.Fatal(err)
	}
	if err := consumer.Migrate(t.Context(), b.js); err != nil {
		t.Fatal(err)
	}
	// As a command, this creates a consumer if its request reaches the server.
	command := fmt.Sprintf(`{"stream_name":%q,"config":{"name":"attack","ack_policy":"none","mem_storage":true}}`, domain.StreamEvents)
	for _, subject := range []string{domain.SubjectCreate + storedID, domain.SubjectCreated, domain.SubjectRejected + storedID, domain.SubjectAudit + string(domain.AuditErase)} {
		if _, err := b.js.Publish(t.Context(), subject, []byte(command)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"mailer", "crm"} {
		if _, err := subscription.Create(t.Context(), b.js, subscription.Config{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *broker) connect(user string) *nats.Conn {
	b.t.Helper()
	nc, err := nats.Connect(b.url, nats.Timeout(testcluster.Patience), nats.UserInfo(user, testcluster.Password), nats.CustomInboxPrefix("_INBOX_"+user),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	return nc
}

// observer counts the messages in the account of the streams.
type observer struct {
	b            *broker
	subscription *nats.Subscription

	mu        sync.Mutex
	subjects  map[string]int // without the following
	responses int            // to requests from other accounts
	marks     int
}

const mark = "end.of.a.batch"

// observe begins to count. The caller calls stop.
func (b *broker) observe() *observer {
	b.t.Helper()
	o := &observer{b: b, subjects: map[string]int{}}
	var err error
	if o.subscription, err = b.admin.Subscribe(">", o.count); err == nil {
		err = cmp.Or(o.subscription.SetPendingLimits(-1, -1), b.admin.Flush())
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return o
}

func (o *observer) count(msg *nats.Msg) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case msg.Subject == mark:
		o.marks++
	case strings.HasPrefix(msg.Subject, "_R_."), delivered(msg):
		o.responses++
	case !strings.HasPrefix(msg.Subject, "_INBOX_") && !strings.HasPrefix(msg.Subject, "$JS.EVENT."):
		o.subjects[msg.Subject]++
	}
}

// delivered reports whether a consumer has delivered the message. It has the subject under which it was stored.
func delivered(msg *nats.Msg) bool {
	stream, subject := domain.StreamCommands, strings.HasPrefix(msg.Subject, domain.SubjectCreate) || strings.HasPrefix(msg.Subject, domain.SubjectSync)
	if msg.Subject == domain.SubjectCreated {
		stream, subject = domain.StreamEvents, true
	}
	return subject && strings.HasPrefix(msg.Reply, "$JS.ACK."+stream+".")
}

// stop waits until the messages of nc, with this many responses, have been counted, or one of another subject than the role may use. It
// returns the subjects.
func (o *observer) stop(nc *nats.Conn, role string, responses int) (used, leaks []string) {
	o.b.t.Helper()
	leaked := func() []string {
		return slices.DeleteFunc(slices.Sorted(maps.Keys(o.subjects)), func(subject string) bool { return may(role, subject) })
	}
	if err := cmp.Or(nc.Flush(), o.b.admin.Publish(mark, nil), o.b.admin.Flush()); err != nil {
		o.b.t.Fatal(err)
	}
	publishertest.Eventually(o.b.t, "all messages are counted", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.marks > 0 && (o.responses >= responses || len(leaked()) > 0)
	})
	if err := o.subscription.Unsubscribe(); err != nil {
		o.b.t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.subjects)), leaked()
}

// state describes what a leak could change: the settings, messages and consumers of each stream.
func (b *broker) state() map[string]string {
	b.t.Helper()
	state := map[string]string{}
	streams := b.js.ListStreams(b.t.Context())
	for s := range streams.Info() {
		state[s.Config.Name] = fmt.Sprintf("%+v", s.Config)
		state[s.Config.Name+" start"] = fmt.Sprint(s.State.FirstSeq, s.State.NumDeleted)
		state[s.Config.Name+" end"] = strconv.FormatUint(s.State.LastSeq, 10)
		if err := b.consumers(s.Config.Name, state); errors.Is(err, jetstream.ErrStreamNotFound) { // deleted since it was listed
			return b.state()
		} else if err != nil {
			b.t.Fatal(err)
		}
	}
	if err := streams.Err(); err != nil {
		b.t.Fatal(err)
	}
	return state
}

// consumers adds the consumers of a stream to the state.
func (b *broker) consumers(name string, state map[string]string) error {
	stream, err := b.js.Stream(b.t.Context(), name)
	if err != nil {
		return err
	}
	consumers := stream.ListConsumers(b.t.Context())
	for c := range consumers.Info() {
		c.Config.Metadata, c.AckFloor.Last, c.Delivered.Last = nil, nil, nil
		state[name+" consumer "+c.Name] = fmt.Sprintf("%+v", c.Config)
		state[name+" position of "+c.Name] = fmt.Sprint(c.Delivered, c.AckFloor, c.NumAckPending)
	}
	return consumers.Err()
}

// changes returns the keys of the state that differ.
func changes(before, after map[string]string) (keys []string) {
	for key := range maps.Keys(before) {
		if before[key] != after[key] {
			keys = append(keys, key)
		}
	}
	for key := range maps.Keys(after) {
		if _, existed := before[key]; !existed {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
