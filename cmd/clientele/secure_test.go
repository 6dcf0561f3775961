package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
)

// newKey has clientele keys new add a key to the file, and returns what the caller sends.
func newKey(t *testing.T, file, name, scopes string) string {
	t.Helper()
	status, stdout, stderr := runLine(t, "keys", "new", "--name", name, "--scope", scopes, "--keys-file", file)
	if status != exitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	return regexp.MustCompile(`clk_\S+`).FindString(stdout)
}

// TestFortress is the main job with the files of deploy: each role with its own credentials, over TLS with certificates.
func TestFortress(t *testing.T) { //nolint:gocyclo // one job from end to end
	f := newFortress(t)
	keys := filepath.Join(t.TempDir(), "keys")
	writer, reader := newKey(t, keys, "pipeline", "clients:write"), newKey(t, keys, "desk", "clients:read")
	certificate, key := f.ca.issue("api")
	ingress := clientele(t, "ingress", append(f.flags("ingress", "ingress"), "--keys-file", keys, "--tls-cert", certificate, "--tls-key", key)...)
	worker := clientele(t, "worker", f.flags("worker", "worker")...)
	ingress.ready()
	worker.ready()
	api := strings.Replace(ingress.api(), "http:", "https:", 1)
	events, err := f.connect("subscriber").SubscribeSync(domain.SubjectCreated)
	if err != nil {
		t.Fatal(err)
	}
	if err := events.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}

	caller, prefer := f.ca.client(), ""
	do := func(method, path, token, body string) (int, http.Header, map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, api+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "1")
		r.Header.Set("Prefer", prefer)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := caller.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.ProtoMajor != 2 {
			t.Errorf("%s", response.Proto)
		}
		var object map[string]any
		if err := json.NewDecoder(response.Body).Decode(&object); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header, object
	}
	status, _, accepted := do(http.MethodPost, "/api/v2/clients", writer, jane)
	if status != http.StatusAccepted {
		t.Fatalf("%d: %v", status, accepted)
	}
	id := accepted["id"].(string)
	if want := domain.KeyedID("pipeline", "1").String(); id != want {
		t.Errorf("id %s, want %s: the key of the caller's name", id, want)
	}
	event, err := events.NextMsg(20 * time.Second)
	if err != nil || event.Header.Get("ce-subject") != id {
		t.Fatalf("%v: %v", event, err)
	}
	if status, _, client := do(http.MethodGet, "/api/v2/clients/"+id, reader, ""); status != http.StatusOK || client["lastName"] != "Smith" {
		t.Errorf("%d: %v", status, client)
	}
	if status, header, _ := do(http.MethodGet, "/api/v2/clients/"+id, writer, ""); status != http.StatusForbidden ||
		!strings.Contains(header.Get("WWW-Authenticate"), `error="insufficient_scope", scope="clients:read"`) {
		t.Errorf("%d: %v", status, header)
	}
	for _, token := range []string{"", "x", reader[:len(reader)-1] + "!", "clk_aaaaaaaa_b"} {
		if status, header, _ := do(http.MethodGet, "/api/v2/clients/"+id, token, ""); status != http.StatusUnauthorized ||
			(header.Get("WWW-Authenticate") == `Bearer realm="clientele"`) != (token == "") {
			t.Errorf("%q: %d: %v", token, status, header)
		}
	}

	// A replay while the command is still on the log, and the operator's tools.
	if status, _, again := do(http.MethodPost, "/api/v2/clients", writer, jane); status != http.StatusAccepted || again["id"] != id {
		t.Errorf("%d: %v", status, again)
	}
	if status, _, problem := do(http.MethodPost, "/api/v2/clients", writer, strings.Replace(jane, "Jane", "Joan", 1)); status != http.StatusUnprocessableEntity {
		t.Errorf("%d: %v", status, problem)
	}
	prefer = "wait=20"
	if status, header, client := do(http.MethodPost, "/api/v2/clients", writer, jane); status != http.StatusCreated || client["id"] != id {
		t.Errorf("%d %v: %v", status, header, client)
	}
	prefer = ""
	operator := f.natsFlags("operator")
	if status, stdout, stderr := runLine(t, append([]string{"rejections", "ls"}, operator...)...); status != exitOK {
		t.Errorf("%d: %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := runLine(t, "clients", "find", "--name", "Smith Jane", "--database-url", f.databaseURL("operator")); status != exitOK || !strings.Contains(stdout, id) {
		t.Errorf("find: %d: %s%s", status, stdout, stderr)
	}
	publishertest.Eventually(t, "the client is erased", func() bool {
		status, stdout, stderr := runLine(t, append([]string{"erase", "--yes", id}, f.flags("operator", "operator")...)...)
		if status != exitOK && !strings.Contains(stderr, "still being taken in") {
			t.Fatalf("%d: %s%s", status, stdout, stderr)
		}
		return status == exitOK
	})
	if status, _, _ := do(http.MethodGet, "/api/v2/clients/"+id, reader, ""); status != http.StatusNotFound {
		t.Errorf("erased: %d", status)
	}

	// A key that is revoked is refused without a restart.
	readerID := strings.Split(reader, "_")[1]
	if status, stdout, stderr := runLine(t, "keys", "revoke", "--keys-file", keys, readerID); status != exitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	publishertest.Eventually(t, "the key is refused", func() bool {
		status, _, _ := do(http.MethodGet, "/api/v2/clients/"+id, reader, "")
		return status == http.StatusUnauthorized
	})
	for _, p := range []*proc{ingress, worker} {
		for _, secret := range []string{password, writer, reader, "Smith", "ermissions"} {
			if strings.Contains(p.output(), secret) {
				t.Errorf("%q in what a process wrote: %s", secret, p.output())
			}
		}
		p.stop()
	}
	t.Run("Permissions", f.permissions)
}

// permissions tries what each role may and may not do.
func (f *fortress) permissions(t *testing.T) {
	const someone = "0190d0c5-0000-7000-8000-000000000000"
	type try struct {
		role, action string
		allowed      bool
		do           func(ctx context.Context, role string) error
	}
	request := func(subject, body string) func(context.Context, string) error {
		return func(ctx context.Context, role string) error { return f.request(ctx, role, subject, body) }
	}
	subscribe := func(subject string) func(context.Context, string) error {
		return func(_ context.Context, role string) error { return f.subscribe(role, subject) }
	}
	query := func(statement string) func(context.Context, string) error {
		return func(ctx context.Context, role string) error { return f.query(ctx, role, statement) }
	}
	const (
		insert = `INSERT INTO clients (id) SELECT id FROM clients WHERE false`
		read   = `SELECT id FROM clients LIMIT 1`
		update = `UPDATE clients SET last_name = last_name WHERE false`
		remove = `DELETE FROM clients WHERE false`
		drop   = `DROP TABLE clients`
		schema = `INSERT INTO clientele_schema (version_id, is_applied) SELECT 99, true WHERE false`
	)
	byID := "$JS.API.DIRECT.GET." + domain.StreamCommands + "."
	all := "$JS.API.DIRECT.GET." + domain.StreamCommands
	consumer := func(stream string) string {
		return fmt.Sprintf(`{"stream_name":%q,"config":{"name":"x","ack_policy":"none","mem_storage":true}}`, stream)
	}
	for _, c := range []try{
		{"ingress", "publish a command", true, request(domain.SubjectCreate+someone, "x")},
		{"ingress", "read one command by its id", true, request(byID+domain.SubjectCreate+someone, "")},
		{"ingress", "read commands by their place", false, request(all, `{"seq":1}`)},
		{"ingress", "read commands in a batch", false, request(all, `{"batch":10,"seq":1}`)},
		{"ingress", "read a message through the API", false, request("$JS.API.STREAM.MSG.GET."+domain.StreamCommands, `{"seq":1}`)},
		{"ingress", "make a consumer", false, request("$JS.API.CONSUMER.CREATE."+domain.StreamCommands+".x", consumer(domain.StreamCommands))},
		{"ingress", "take commands from the workers", false, request("$JS.API.CONSUMER.MSG.NEXT."+domain.StreamCommands+".worker", "1")},
		{"ingress", "purge the log", false, request("$JS.API.STREAM.PURGE."+domain.StreamCommands, "")},
		{"ingress", "delete a stream", false, request("$JS.API.STREAM.DELETE."+domain.StreamCommands, "")},
		{"ingress", "publish an event", false, request(domain.SubjectCreated, "x")},
		{"ingress", "publish a rejection", false, request(domain.SubjectRejected+someone, "x")},
		{"ingress", "hear that a command has ended", true, subscribe(domain.SubjectCompleted + "*")},
		{"ingress", "tell that a command has ended", false, request(domain.SubjectCompleted+someone, "")},
		{"ingress", "hear commands", false, subscribe("client.create.*")},
		{"ingress", "hear events", false, subscribe(domain.SubjectCreated)},
		{"ingress", "hear the answers to a worker", false, subscribe("_INBOX_worker.>")},
		{"ingress", "SELECT clients", true, query(read)},
		{"ingress", "INSERT clients", false, query(insert)},
		{"ingress", "UPDATE clients", false, query(update)},
		{"ingress", "DELETE clients", false, query(remove)},

		{"worker", "publish a rejection", true, request(domain.SubjectRejected+someone, "{}")},
		{"worker", "find where the history begins", true, request(all, `{"batch":1,"start_time":"2026-01-01T00:00:00Z"}`)},
		{"worker", "trim the log", true, request("$JS.API.STREAM.PURGE."+domain.StreamCommands, `{"seq":1}`)},
		{"worker", "publish a command", false, request(domain.SubjectCreate+someone, "x")},
		{"worker", "tell of an erasure", false, request(domain.SubjectErased, "x")},
		{"worker", "read events", false, request("$JS.API.DIRECT.GET."+domain.StreamEvents, `{"seq":1}`)},
		{"worker", "make a consumer", false, request("$JS.API.CONSUMER.CREATE."+domain.StreamEvents+".x", consumer(domain.StreamEvents))},
		{"worker", "purge the events", false, request("$JS.API.STREAM.PURGE."+domain.StreamEvents, "")},
		{"worker", "purge the rejections", false, request("$JS.API.STREAM.PURGE."+domain.StreamRejections, "")},
		{"worker", "change its stream", false, request("$JS.API.STREAM.UPDATE."+domain.StreamCommands, "{}")},
		{"worker", "delete its consumer", false, request("$JS.API.CONSUMER.DELETE."+domain.StreamCommands+".worker", "")},
		{"worker", "touch a stream of others", false, request("$JS.API.STREAM.INFO.OTHERS", "")},
		{"worker", "hear events", false, subscribe(domain.SubjectCreated)},
		{"worker", "INSERT clients", true, query(insert)},
		{"worker", "SELECT clients", true, query(read)},
		{"worker", "UPDATE clients", false, query(update)},
		{"worker", "DELETE clients", false, query(remove)},
		{"worker", "write the schema's version", false, query(schema)},
		{"worker", "DROP clients", false, query(drop)},

		{"subscriber", "make a consumer of events", true, request("$JS.API.CONSUMER.CREATE."+domain.StreamEvents+".x", consumer(domain.StreamEvents))},
		{"subscriber", "hear events", true, subscribe(domain.SubjectCreated)},
		{"subscriber", "publish an event", false, request(domain.SubjectCreated, "x")},
		{"subscriber", "publish a command", false, request(domain.SubjectCreate+someone, "x")},
		{"subscriber", "read commands", false, request(all, `{"seq":1}`)},
		{"subscriber", "read one command by its id", false, request(byID+domain.SubjectCreate+someone, "")},
		{"subscriber", "make a consumer of commands", false, request("$JS.API.CONSUMER.CREATE."+domain.StreamCommands+".x", consumer(domain.StreamCommands))},
		{"subscriber", "make a consumer of rejections", false, request("$JS.API.CONSUMER.CREATE."+domain.StreamRejections+".x", consumer(domain.StreamRejections))},
		{"subscriber", "delete an event", false, request("$JS.API.STREAM.MSG.DELETE."+domain.StreamEvents, `{"seq":1}`)},
		{"subscriber", "hear commands", false, subscribe("client.>")},
		{"subscriber", "hear rejections", false, subscribe("client.rejected.*")},
		{"subscriber", "hear the answers to a worker", false, subscribe("_INBOX_worker.>")},

		{"operator", "look at a stream", true, request("$JS.API.STREAM.INFO."+domain.StreamRejections, "")},
		{"operator", "publish an outcome", false, request(domain.SubjectRejected+"x", "x")},
		{"operator", "publish anything else", false, request("orders", "x")},
		{"operator", "SELECT clients", true, query(read)},
		{"operator", "UPDATE clients", false, query(update)},
		{"operator", "DELETE clients", true, query(remove)},
		{"operator", "INSERT clients", false, query(insert)},
		{"operator", "DROP clients", false, query(drop)},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := c.do(ctx, c.role)
		cancel()
		refused := errors.Is(err, errRefused)
		if err != nil && !refused {
			t.Errorf("%s: %s: %v", c.role, c.action, err)
		}
		if refused == c.allowed {
			t.Errorf("%s: %s: refused %v, want allowed %v", c.role, c.action, refused, c.allowed)
		}
		t.Logf("%-10s  %-35s  %s", c.role, c.action, map[bool]string{true: "refused", false: "allowed"}[refused])
	}
	// Without a certificate there is nobody to be.
	if nc, err := nats.Connect(f.nats.url, nats.UserInfo("ingress", password), nats.RootCAs(f.ca.file("ca.crt"))); err == nil {
		nc.Close()
		t.Error("NATS takes a client without a certificate")
	}
	if nc, err := nats.Connect(f.nats.url, nats.UserInfo("ingress", "wrong"), nats.RootCAs(f.ca.file("ca.crt")),
		nats.ClientCert(f.ca.file("ingress.crt"), f.ca.file("ingress.key"))); err == nil {
		nc.Close()
		t.Error("NATS takes a wrong password")
	}
	plain := strings.Replace(f.databaseURL("worker"), "verify-full", "disable", 1)
	if conn, err := pgx.Connect(t.Context(), plain); err == nil {
		_ = conn.Close(t.Context())
		t.Error("PostgreSQL takes a role without TLS")
	}
	stranger := strings.Replace(f.databaseURL("worker"), f.ca.file("ca.crt"), newAuthority(t).file("ca.crt"), 1)
	if conn, err := pgx.Connect(t.Context(), stranger); err == nil {
		_ = conn.Close(t.Context())
		t.Error("a PostgreSQL of somebody else's passes for ours")
	}
}

var errRefused = errors.New("refused")

// request sends a request as the user, and returns errRefused if the server does not let it through.
func (f *fortress) request(ctx context.Context, user, subject, body string) error {
	violations := make(chan error, 10)
	nc := f.connect(user, nats.ErrorHandler(nil))
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err })
	defer nc.Close()
	answer := make(chan error, 1)
	go func() {
		_, err := nc.RequestWithContext(ctx, subject, []byte(body))
		answer <- err
	}()
	select {
	case err := <-violations:
		return fmt.Errorf("%w: %w", errRefused, err)
	case err := <-answer:
		return err
	}
}

func (f *fortress) subscribe(user, subject string) error {
	nc := f.connect(user)
	defer nc.Close()
	subscription, err := nc.SubscribeSync(subject)
	if err != nil {
		return err
	}
	if err := nc.Flush(); err != nil {
		return err
	}
	// The server's word comes before its answer to the flush, and is handled beside it.
	if _, err := subscription.NextMsg(200 * time.Millisecond); errors.Is(err, nats.ErrPermissionViolation) || strings.Contains(fmt.Sprint(nc.LastError()), "ermissions") {
		return errRefused
	}
	return nil
}

func (f *fortress) query(ctx context.Context, role, statement string) error {
	conn, err := pgx.Connect(ctx, f.databaseURL(role))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "42501" {
		return errRefused
	}
	return err
}
