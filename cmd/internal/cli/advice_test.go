package cli_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/consumer"
	"clientele/publisher"
	"clientele/publisher/endpoint"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/storetest"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
)

func TestPermanent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&pgconn.PgError{Code: "28P01"}, true},
		{&pgconn.PgError{Code: "28000"}, true},
		{&pgconn.PgError{Code: "3D000"}, true},
		{&pgconn.PgError{Code: "42501"}, true},
		{&pgconn.PgError{Code: "57P03"}, false}, // the server starts
		{&pgconn.PgError{Code: "53300"}, false}, // too many connections
		{&pgconn.PgError{Code: "40001"}, false},
		{nats.ErrAuthorization, true},
		{nats.ErrAuthExpired, true},
		{nats.ErrAuthRevoked, true},
		{nats.ErrAccountAuthExpired, true},
		{nats.ErrSecureConnWanted, true},
		{fmt.Errorf("%w: %w", nats.ErrTLS, x509.UnknownAuthorityError{}), true},
		{nats.ErrTLS, false},
		{nats.ErrNoServers, false},
		{nats.ErrTimeout, false},
		{nats.ErrReconnectBufExceeded, false},
		{errors.New("dial tcp: connection refused"), false},
	} {
		if got := app.Permanent(fmt.Errorf("look: %w", cli.Advise(c.err))); got != c.want {
			t.Errorf("%v: permanent %v, want %v", c.err, got, c.want)
		}
	}
}

func TestAdviceOnTheSetup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{&store.SchemaError{Have: 1, Want: 2}, "the database has schema version 1, this program needs 2: run clientele migrate"},
		{&store.SchemaError{Have: 2, Want: 1}, "the database has schema version 2, newer than this program's 1: run a newer clientele"},
		{&streams.MissingError{Stream: "S"}, "stream S is missing: run clientele migrate"},
		{
			&endpoint.UnknownError{Name: "crm", Err: nats.ErrTimeout}, "it is unknown whether webhook crm was changed: nats: timeout: run this again. " +
				"If a new webhook then exists, run clientele webhooks rotate crm, which prints a secret",
		},
		{&consumer.MissingConsumerError{}, "consumer worker of stream CLIENT_COMMANDS is missing: run clientele migrate"},
		{&publisher.MissingConsumerError{}, "consumer worker is missing, so it is unknown which commands have completed: run clientele migrate"},
		{
			&streams.RefusedError{Stream: "S", Err: errors.New("too large")},
			"NATS refuses stream S (check --log-max-bytes, --event-max-bytes and --replicas): too large",
		},
		{
			&app.LostError{Err: &streams.MissingError{Stream: "S"}}, "stream S is missing: the others exist, so it was lost. " +
				"Restore it, or create it empty: run clientele migrate with the same --data-dir, --nats-url and --database-url",
		},
	} {
		if got := cli.Advise(c.err).Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if got := cli.Advise(cli.Advise(c.err)).Error(); got != c.want {
			t.Errorf("advised twice: %q", got)
		}
	}
}

const accountAdvice = "the account of the NATS user does not reach the streams: use the user that deploy/nats/accounts.conf has for this command"

// A refusal by a server ends each command, with an error that says what to do.
func TestWhatServersRefuse(t *testing.T) {
	f := testcluster.NewSecured(t)
	stranger := testcluster.NewAuthority(t)
	f.SQL(`CREATE ROLE clientele_stranger LOGIN PASSWORD '` + testcluster.Password + `'`)
	owner, worker, ingress, operator := f.DatabaseURL("owner"), f.DatabaseURL("worker"), f.DatabaseURL("ingress"), f.DatabaseURL("operator")
	users := map[string][]string{}
	for _, user := range []string{"ingress", "worker", "operator", "mailer"} {
		users[user] = f.NatsFlags(user)
	}
	with := func(flags []string, old, other string) []string {
		changed := slices.Clone(flags)
		for i := range changed {
			changed[i] = strings.Replace(changed[i], old, other, 1)
		}
		return changed
	}
	on := func(flags []string, database string) []string {
		return append(slices.Clone(flags), "--database-url", database)
	}
	const some = "01a1f0de-7c5e-7000-8000-000000000000"
	for _, c := range []struct {
		want    string
		command string
		flags   []string
	}{
		{`password authentication failed for user "clientele_owner" (SQLSTATE 28P01): check the user and the password in --database-url`, "migrate", on(users["operator"], strings.Replace(owner, testcluster.Password, "wrong", 1))},
		{"(SQLSTATE 28P01)", "worker", on(users["worker"], strings.Replace(worker, testcluster.Password, "wrong", 1))},
		{"(SQLSTATE 28P01)", "ingress", on(users["ingress"], strings.Replace(ingress, testcluster.Password, "wrong", 1))},
		{"(SQLSTATE 28P01)", "serve", append(on(users["operator"], strings.Replace(owner, testcluster.Password, "wrong", 1)), "--data-dir", t.TempDir())},
		{"(SQLSTATE 28P01)", "erase " + some, append(on(users["operator"], strings.Replace(operator, testcluster.Password, "wrong", 1)), "--yes")},
		{`(SQLSTATE 3D000): create the database, or use another one in --database-url`, "worker", on(users["worker"], strings.Replace(worker, "?", "_none?", 1))},
		{`pg_hba.conf`, "worker", on(users["worker"], strings.Replace(worker, "verify-full", "disable", 1))},
		{`(SQLSTATE 42501): use a role with this right in --database-url`, "worker", on(users["worker"], strings.Replace(worker, "clientele_worker", "clientele_stranger", 1))},
		{"sslrootcert=FILE in --database-url", "migrate", on(users["operator"], strings.Replace(owner, f.CA.Dir, stranger.Dir, 1))},
		{"sslrootcert=FILE in --database-url", "ingress", on(users["ingress"], strings.Replace(ingress, f.CA.Dir, stranger.Dir, 1))},

		{"check the user and the password in --nats-url", "migrate", on(with(users["operator"], testcluster.Password, "wrong"), owner)},
		{"check the user and the password in --nats-url", "worker", on(with(users["worker"], testcluster.Password, "wrong"), worker)},
		{"check the user and the password in --nats-url", "ingress", on(with(users["ingress"], testcluster.Password, "wrong"), ingress)},
		{"check the user and the password in --nats-url", "rejections ls", with(users["operator"], testcluster.Password, "wrong")},
		{"pass the certificate authorities of NATS as --nats-ca", "worker", on(with(users["worker"], f.CA.File("ca.crt"), stranger.File("ca.crt")), worker)},
		{"pass the certificate authorities of NATS as --nats-ca", "rejections ls", with(users["operator"], f.CA.File("ca.crt"), stranger.File("ca.crt"))},
		{"pass a certificate that NATS accepts as --nats-cert and --nats-key", "worker", on(users["worker"][:4], worker)},

		{`NATS user "ingress" may not subscribe to "_INBOX_serve.`, "migrate", on(users["ingress"], owner)},
		{`NATS user "worker" may not subscribe to "_INBOX_ingress.`, "ingress", on(users["worker"], ingress)},
		{`use the worker's credentials (--nats-url, --nats-creds)`, "worker", on(users["ingress"], worker)},
		{accountAdvice, "worker", on(users["mailer"], worker)},
		{accountAdvice, "webhooks ls", users["mailer"]},
		{`use the operator's credentials (--nats-url, --nats-creds)`, "serve", append(on(users["ingress"], owner), "--data-dir", t.TempDir())},
		{`NATS user "operator" may not subscribe to "_INBOX_forward.`, "forward", users["operator"]},
		{`NATS user "worker" may not subscribe to "_INBOX_operator.`, "bench", users["worker"]},
		{accountAdvice, "events tail", users["mailer"]},
		{accountAdvice, "rejections ls", users["mailer"]},
		{`use the operator's credentials (--nats-url, --nats-creds)`, "erase " + some, append(on(users["worker"], operator), "--yes")},
		{accountAdvice, "backup " + filepath.Join(t.TempDir(), "backup"), on(users["mailer"], operator)},
		{accountAdvice, "events replay", append(on(users["mailer"], operator), "--since=1h", "--yes")},
	} {
		var p *testcluster.Process
		if slices.Contains([]string{"migrate", "worker", "ingress", "serve", "forward"}, c.command) {
			p = testcluster.Clientele(t, c.command, c.flags...)
		} else {
			p = testcluster.Start(t, testcluster.Program(t, "clientele"), append(strings.Fields(c.command), c.flags...)...)
		}
		status, out := p.Wait(), p.Output()
		last := out[strings.LastIndex(strings.TrimSuffix(out, "\n"), "\n")+1:]
		if status != cli.ExitError || !strings.HasPrefix(last, "clientele: ") || !strings.Contains(last, c.want) || strings.Contains(out, testcluster.Password) {
			t.Errorf("%s %v: %d, want %s: %s", c.command, c.flags, status, c.want, out)
		}
	}
}

// eventsImport is a line of deploy/nats/accounts.conf that the worker needs.
const eventsImport = `{service: {account: CLIENTELE, subject: "$JS.API.STREAM.INFO.CLIENT_EVENTS"}, to: "api.STREAM.INFO.CLIENT_EVENTS"}`

// If the user of a role lacks a permission, the configuration of the server is incomplete.
func TestWhatAUserMayNot(t *testing.T) {
	t.Parallel()
	server := testcluster.StartNATSServerWith(t, nil, map[string]string{`"_INBOX_worker.>"`: `"_INBOX.>"`, eventsImport: ""})
	as := func(user string) string {
		return strings.Replace(server.URL, "//", "//"+user+":"+testcluster.Password+"@", 1)
	}
	database := storetest.Postgres(t)
	if status := testcluster.Clientele(t, "migrate", "--nats-url", as("operator"), "--database-url", database).Wait(); status != cli.ExitOK {
		t.Fatalf("migrate: %d", status)
	}
	worker := testcluster.Clientele(t, "worker", "--nats-url", as("worker"), "--database-url", database)
	const own = `NATS user "worker" may not subscribe to "_INBOX_worker.`
	if status := worker.Wait(); status != cli.ExitError || !strings.Contains(worker.Output(), own) ||
		!strings.Contains(worker.Output(), "grant it as deploy/nats/accounts.conf does") {
		t.Errorf("%d: %s", status, worker.Output())
	}

	// A message to a subject that no stream keeps receives no answer.
	clients, err := postgres.Open(t.Context(), postgres.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	defer clients.Close()
	if _, err := clients.Create(t.Context(), storetest.Clients(1)); err != nil {
		t.Fatal(err)
	}
	const orders = `clientele: publish to orders: NATS user "operator" may not publish to "orders"`
	if status, stdout, stderr := testcluster.RunLine(t, "events", "replay", "--since=1h", "--yes", "--subject=orders", "--nats-url", as("operator"),
		"--database-url", database); status != cli.ExitError || !strings.HasPrefix(stderr, orders) || !strings.Contains(stdout, "orders: 0\n") {
		t.Errorf("%d: %s%s", status, stdout, stderr)
	}
}

// Running processes whose passwords change continue when the passwords are valid again.
func TestARunningProcessOutlivesARefusal(t *testing.T) {
	f := testcluster.NewSecured(t)
	worker := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	worker.Ready()
	lock := func(password string) {
		t.Helper()
		f.SQL(`ALTER ROLE clientele_worker PASSWORD '` + password + `'; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clientele_worker'`)
	}
	lock("another")
	publishertest.Eventually(t, "the worker says what is wrong", func() bool {
		r := testcluster.Get(t, worker.Admin()+"/readyz")
		return r.Status == http.StatusServiceUnavailable && strings.Contains(r.Body, "28P01): check the user and the password in --database-url")
	})
	lock(testcluster.Password)
	worker.Ready()

	users := filepath.Join(filepath.Dir(f.NATS.Config), "accounts.conf")
	deployed, err := os.ReadFile(users)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"$NATS_WORKER_PASSWORD", "another-password", "NATS cannot be reached: nats: Authorization Violation: check the user and the password in --nats-url"},
		{eventsImport, "", "look up stream CLIENT_EVENTS: nats: no responders available for request: " + accountAdvice},
	} {
		reload := func(content string) {
			t.Helper()
			if err := os.WriteFile(users, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			f.NATS.Signal(syscall.SIGHUP)
		}
		reload(strings.ReplaceAll(string(deployed), c.old, c.new))
		publishertest.Eventually(t, "the worker is not ready: "+c.want, func() bool {
			r := testcluster.Get(t, worker.Admin()+"/readyz")
			return r.Status == http.StatusServiceUnavailable && strings.Contains(r.Body, c.want)
		})
		reload(string(deployed))
		worker.Ready()
	}

	// An ingress that already accepts commands does not end either.
	f.Postgres.Stop(t, true)
	ingress := testcluster.Clientele(t, "ingress", append(f.NatsFlags("ingress"), "--database-url", strings.Replace(f.DatabaseURL("ingress"), testcluster.Password, "wrong", 1))...)
	ingress.Ready()
	f.Postgres.Start(t)
	publishertest.Eventually(t, "the ingress says what is wrong", func() bool {
		return strings.Contains(testcluster.Get(t, ingress.Admin()+"/readyz").Body, "28P01")
	})
	ingress.Says(`28P01[^\n]*"waiting for the database"`)
	testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
	ingress.Stop()
	worker.Ready()
	worker.Stop()
}

func TestMigrateGivesUp(t *testing.T) {
	t.Parallel()
	server, nobody := testcluster.StartNATSServer(t), testcluster.FreeAddress(t)
	for want, flags := range map[string][]string{
		"gave up after 1s (--timeout): waiting for NATS at nats://" + nobody + ": ": {"--nats-url", "nats://" + nobody, "--database-url", storetest.Postgres(t)},
		"gave up after 1s (--timeout): waiting for the database:":                   {"--nats-url", server.URL, "--database-url", "postgres://clientele@" + nobody + "/clientele"},
	} {
		p := testcluster.Clientele(t, "migrate", append(flags, "--timeout=1s")...)
		if status := p.Wait(); status != cli.ExitError || !strings.Contains(p.Output(), "clientele: "+want) {
			t.Errorf("%d, want %s: %s", status, want, p.Output())
		}
	}
	if status, _, stderr := testcluster.RunLine(t, "migrate", "--data-dir=x", "--timeout=0s"); status != cli.ExitUsage || !strings.Contains(stderr, "--timeout must be positive") {
		t.Errorf("%d: %s", status, stderr)
	}
}

func TestCertificateOfTheIssuer(t *testing.T) {
	t.Parallel()
	issuer := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(issuer.Close)
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--oidc-issuer", issuer.URL, "--oidc-audience=clientele")
	if status := serve.Wait(); status != cli.ExitError || !strings.Contains(serve.Output(), "add its certificate authority to those of the system") {
		t.Errorf("%d: %s", status, serve.Output())
	}
}
