package systemtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"clientele/domain"

	"github.com/nats-io/nats.go"
)

// TestEachRoleByEachSubject has each role publish to each subject, name it as the reply subject of each request that the role may send,
// and as the deliver subject of a consumer. In the account of the streams, only the subjects of its rights may receive messages.
func TestEachRoleByEachSubject(t *testing.T) {
	t.Parallel()
	b, subjects := withAccounts(t), apiSubjects(t)
	total := 0
	for _, c := range []struct {
		role    string
		changes []string // what its rights change
	}{
		{"ingress", []string{"CLIENT_AUDIT end", "CLIENT_COMMANDS end"}},
		{"worker", []string{"CLIENT_COMMANDS position of worker", "CLIENT_COMMANDS start", "CLIENT_EVENTS end", "CLIENT_REJECTIONS end", "CLIENT_REJECTIONS start"}},
		{"mailer", []string{"CLIENT_EVENTS position of mailer"}},
		{"forward", []string{
			"CLIENT_EVENTS position of crm", "CLIENT_SUBSCRIPTIONS end", "CLIENT_SUBSCRIPTIONS start", "KV_CLIENT_WEBHOOKS end", "KV_CLIENT_WEBHOOKS start",
		}},
	} {
		before := b.state()
		overheard, err := b.connect("mailer").SubscribeSync(">")
		if err != nil {
			t.Fatal(err)
		}
		tries, leaks := b.try(c.role, subjects)
		for _, leak := range leaks {
			t.Errorf("%s: %s", c.role, leak)
		}
		if got := changes(before, b.state()); !slices.Equal(got, c.changes) {
			t.Errorf("%s has changed %q, want %q", c.role, got, c.changes)
		}
		if n, _, err := overheard.Pending(); c.role != "mailer" && (n > 0 || err != nil) {
			t.Errorf("%s: a subscriber receives %d messages (%v)", c.role, n, err)
		}
		t.Logf("%-8s %5d tries with %d subjects, %d leaks", c.role, tries, len(subjects), len(leaks))
		total += tries
	}
	t.Logf("%d tries", total)
	if total < 10_000 {
		t.Errorf("%d tries: the list of subjects is incomplete", total)
	}
}

// TestPermissionsLeak is a control: with the same rights as permissions in one account, the same tries reach other subjects.
func TestPermissionsLeak(t *testing.T) {
	t.Parallel()
	subjects := apiSubjects(t)
	for role := range rights {
		if _, leaks := withPermissions(t).try(role, subjects); len(leaks) == 0 {
			t.Errorf("%s: no leak is found", role)
		} else {
			t.Logf("%s: %d leaks, such as %s", role, len(leaks), leaks[len(leaks)/2])
		}
	}
}

// try returns the number of tries, and the leaks until the first batch with one.
func (b *broker) try(role string, subjects []string) (tries int, leaks []string) {
	b.t.Helper()
	nc := b.connect(role)
	inbox := nc.NewInbox()
	if _, err := nc.SubscribeSync(inbox); err != nil {
		b.t.Fatal(err)
	}
	answered := 0
	for _, subject := range subjects {
		if !strings.HasPrefix(subject, "$JS.ACK.") { // which the server refuses as a reply subject
			answered++
		}
	}
	batch := func(way string, responses int, publish func(subject string) error) (used []string) {
		o := b.observe()
		for _, subject := range subjects {
			tries++
			if err := publish(subject); err != nil {
				b.t.Fatal(err)
			}
		}
		if responses > 0 { // the server has processed the others before this one
			tries++
			if err := publish(inbox); err != nil {
				b.t.Fatal(err)
			}
		}
		used, leaked := o.stop(nc, role, responses)
		for _, subject := range leaked {
			leaks = append(leaks, way+" reaches "+subject)
		}
		return used
	}
	for _, r := range requestsOf(role) {
		way := fmt.Sprintf("the response to %s %s", r.subject, r.body)
		responses := map[responding]int{always: answered, last: 1}[r.responds]
		batch(way, responses, func(subject string) error { return nc.PublishRequest(r.subject, subject, []byte(r.body)) })
		if len(leaks) > 0 {
			return tries, leaks
		}
	}
	batch("a consumer", 0, func(subject string) error {
		create := fmt.Sprintf(`{"stream_name":%q,"config":{"name":"attack","deliver_subject":%q,"ack_policy":"none","mem_storage":true}}`,
			domain.StreamEvents, subject)
		return nc.PublishRequest("$JS.API.CONSUMER.CREATE."+domain.StreamEvents+".attack", nats.NewInbox(), []byte(create))
	})
	used := batch("a message", 0, func(subject string) error {
		return nc.PublishRequest(subject, nats.NewInbox(), []byte(bodyOf(subject)))
	})
	for _, right := range rights[role] {
		if !slices.ContainsFunc(used, func(subject string) bool { return covers(right, subject) }) {
			b.t.Errorf("%s cannot use %s", role, right)
		}
	}
	return tries, leaks
}

type brokerRequest struct {
	subject, body string
	responds      responding
}

// responding says which requests of a batch the server responds to.
type responding string

const (
	never  responding = "none" // announcements, and acknowledgements unless they ask for more
	always responding = "all"
	last   responding = "the last" // a consumer responds if somebody listens
)

// requestsOf returns the requests that a role may send.
func requestsOf(role string) (requests []brokerRequest) {
	for _, right := range rights[role] {
		right = strings.Replace(right, "CLIENT_EVENTS.*", "CLIENT_EVENTS.crm", 1)
		prefix, all := strings.CutSuffix(right, ">")
		switch {
		case all: // acknowledgements
			for _, body := range []string{"+ACK", "-NAK", "+TERM", `+NXT {"no_wait":true}`} {
				requests = append(requests, brokerRequest{prefix + "1.1.1.1.0", body, never})
			}
		case strings.HasPrefix(right, "presence."):
			requests = append(requests, brokerRequest{right, `{"id":"attack"}`, never})
		case strings.HasSuffix(right, ".ID"):
			for _, id := range []string{storedID, missingID} {
				requests = append(requests, brokerRequest{strings.TrimSuffix(right, "ID") + id, "", always})
			}
		case strings.Contains(right, "MSG.NEXT"):
			requests = append(requests, brokerRequest{right, bodyOf(right), last})
		default:
			requests = append(requests, brokerRequest{strings.ReplaceAll(right, ".*", "."+missingID), bodyOf(right), always})
		}
	}
	return requests
}

// bodyOf returns a request that the server executes at a subject of the API.
func bodyOf(subject string) string {
	for operation, body := range map[string]string{
		"CONSUMER.CREATE":         `{"stream_name":"CLIENT_EVENTS","config":{"name":"attack","ack_policy":"none","mem_storage":true}}`,
		"CONSUMER.DURABLE.CREATE": `{"stream_name":"CLIENT_EVENTS","config":{"durable_name":"attack","ack_policy":"none"}}`,
		"STREAM.CREATE":           `{"name":"ATTACK","subjects":["attack"]}`,
		"STREAM.UPDATE":           `{"name":"CLIENT_EVENTS","subjects":["attack"]}`,
		"STREAM.SNAPSHOT":         `{"deliver_subject":"attack"}`,
		"STREAM.RESTORE":          `{"config":{"name":"ATTACK","subjects":["attack"]}}`,
		"STREAM.MSG":              `{"seq":1}`,
		"STREAM.PURGE":            `{"seq":1}`,
		"PEER.REMOVE":             `{"peer":"attack"}`,
		"MSG.NEXT":                `{"no_wait":true}`,
		"DIRECT.GET.CLIENT_":      `{"seq":1}`,
		"DIRECT.GET.KV_":          `{"seq":1}`,
	} {
		if strings.Contains(subject, operation) && strings.Count(subject, ".") <= 6 {
			return body
		}
	}
	return ""
}

// apiSubjects returns the subjects of nats-server's API for each stream and consumer, as the API has them and as the accounts import
// them, and the subjects of Clientele.
func apiSubjects(t *testing.T) []string {
	t.Helper()
	subjects := []string{
		"client.create." + storedID, "client.create.*", "client.create.>", "client.sync." + storedID, "client.created", "client.erased",
		"client.rejected." + storedID, "client.rejected.*", "client.replay.mailer", "client.replay.crm", "client.>", ">",
		"client.undelivered.mailer.1", "client.undelivered.crm.1", "client.undelivered.*.*", "client.undelivered.>",
		"client.position.mailer", "client.position.crm", "client.position.*", "client.deliver.crm", "client.deliver.*",
		"$KV.CLIENT_WEBHOOKS.endpoint.crm", "$KV.CLIENT_WEBHOOKS.health.crm", "$KV.CLIENT_WEBHOOKS.deliveries.crm", "$KV.CLIENT_WEBHOOKS.>",
		"client.audit.client_read", "client.audit.refused", "client.audit.key_added", "client.audit.key_revoked",
		"client.audit.erase", "client.audit.migrate", "client.audit.other", "client.audit.*", "client.audit.>",
		"presence.ingress", "presence.worker", "presence.serve", "presence.console", "presence.forward", "presence.x", "presence.*", "presence.>",
		"operation.completed." + storedID, "command." + storedID, "command.*", "command.*.*.*.*.*.*", "rejection.*", "rejection.*.*.*.*.*.*",
		"command." + storedID + ".0190d0c5.0000.7000.8000.000000000000",
	}
	for _, template := range apiTemplates(t) {
		for _, stream := range []string{domain.StreamCommands, domain.StreamEvents, domain.StreamRejections, domain.StreamAudit, domain.StreamSubscriptions, domain.StreamWebhooks} {
			names := []string{domain.ConsumerWorker, "mailer", "crm", "attack"}
			if strings.Contains(template, "DIRECT.GET") {
				names = nil
				for _, id := range []string{storedID, missingID, "*", ">", "*.*.*.*.*", "*-*-*-*-*"} {
					names = append(names, "client.create."+id, "client.rejected."+id)
				}
				names = append(names, "client.created", ">")
			}
			for _, name := range names {
				subject := template
				for _, argument := range []string{stream, name, "client.created", "1", "1"} {
					subject = strings.Replace(subject, "%s", argument, 1)
				}
				subjects = append(subjects, subject)
				if name, ok := strings.CutPrefix(subject, "$JS.API."); ok {
					subjects = append(subjects, "api."+name)
				} else {
					subjects = append(subjects, subject+".1.1.1.1.0")
				}
			}
		}
	}
	slices.Sort(subjects)
	return slices.Compact(subjects)
}

// apiTemplates returns the constants of nats-server for subjects of JetStream, with %s for each name.
func apiTemplates(t *testing.T) (templates []string) {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/nats-io/nats-server/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "server", "jetstream_api.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		if text, err := strconv.Unquote(literal.Value); err == nil && strings.HasPrefix(text, "$JS.") && !strings.ContainsAny(text, "*>") {
			templates = append(templates, text)
		}
		return true
	})
	if len(templates) < 40 {
		t.Fatalf("nats-server has %d subjects: %v", len(templates), templates)
	}
	return templates
}
