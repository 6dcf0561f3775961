package testcluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/streams"
	"clientele/store/storetest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Authority issues certificates for one test.
type Authority struct {
	t           testing.TB
	Dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority returns a new certificate authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, Dir: t.TempDir()}
	a.key, a.certificate = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "authority of a test"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, "ca")
	return a
}

// Issue writes a certificate for 127.0.0.1 and these addresses, valid for servers and clients, and returns its files.
func (a *Authority) Issue(name string, addresses ...string) (certificate, key string) {
	a.t.Helper()
	ips := []net.IP{net.IPv4(127, 0, 0, 1)}
	for _, address := range addresses {
		ips = append(ips, net.ParseIP(address))
	}
	a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		IPAddresses: ips,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, name)
	return a.File(name + ".crt"), a.File(name + ".key")
}

// File returns the path of a file of the authority.
func (a *Authority) File(name string) string { return filepath.Join(a.Dir, name) }

func (a *Authority) sign(template *x509.Certificate, name string) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		a.t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if a.certificate != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{
		".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(a.File(name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, signed
}

// Client returns an HTTP client that trusts the authority.
func (a *Authority) Client() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}, Timeout: 20 * time.Second}
}

// Secured is Clientele as separate processes with the files of deploy: TLS everywhere, and an account for each role.
type Secured struct {
	t        *testing.T
	CA       *Authority
	NATS     *NATSServer
	Postgres *storetest.PostgresServer
}

// Password is the password of every role.
const Password = "password-of-a-test"

// NewSecured starts a cluster with TLS, users and roles as in deploy, and migrates it.
func NewSecured(t *testing.T) *Secured {
	t.Helper()
	return NewSecuredWith(t, nil, nil)
}

// NewSecuredWith is NewSecured after replacing text in the files of deploy/nats: main applies to nats.conf, all to every file.
func NewSecuredWith(t *testing.T, main, all map[string]string) *Secured {
	t.Helper()
	f := &Secured{t: t, CA: NewAuthority(t), Postgres: storetest.StartPostgres(t)}
	f.CA.Issue("server")
	ours, everywhere := map[string]string{`# include "tls.conf"`: `include "tls.conf"`}, map[string]string{"/etc/clientele/tls": f.CA.Dir}
	maps.Copy(ours, main)
	maps.Copy(everywhere, all)
	f.NATS = StartNATSServerWith(t, ours, everywhere)

	read := func(path string) []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	f.Postgres.UseTLS(t, read(f.CA.File("server.crt")), read(f.CA.File("server.key")))
	f.roles()
	for _, role := range []string{"owner", "worker", "ingress", "operator"} {
		f.SQL(`ALTER ROLE clientele_` + role + ` PASSWORD '` + Password + `'`)
	}
	if status := Clientele(t, "migrate", f.Flags("operator", "owner")...).Wait(); status != 0 {
		t.Fatalf("migrate: exit status %d", status)
	}
	f.roles()
	return f
}

// roles runs deploy/postgres/roles.sql.
func (f *Secured) roles() {
	f.t.Helper()
	content, err := os.ReadFile("../../../deploy/postgres/roles.sql")
	if err != nil {
		f.t.Fatal(err)
	}
	f.SQL(string(content))
}

// SQL runs statements as the superuser.
func (f *Secured) SQL(statements string) {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.Postgres.URL())
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(f.t.Context())
	if _, err := conn.Exec(f.t.Context(), statements); err != nil {
		f.t.Fatal(err)
	}
}

// NatsFlags returns the flags of a program that connects as this user of NATS.
func (f *Secured) NatsFlags(user string) []string {
	certificate, key := f.CA.Issue(user)
	return []string{
		"--nats-url", strings.Replace(f.NATS.URL, "nats://", "tls://"+user+":"+Password+"@", 1),
		"--nats-ca", f.CA.File("ca.crt"), "--nats-cert", certificate, "--nats-key", key,
	}
}

// DatabaseURL returns the URL of the database for this role.
func (f *Secured) DatabaseURL(role string) string {
	url := strings.Replace(f.Postgres.URL(), "clientele@", "clientele_"+role+":"+Password+"@", 1)
	return strings.Replace(url, "sslmode=disable", "sslmode=verify-full&sslrootcert="+f.CA.File("ca.crt"), 1)
}

// Flags returns the flags with the credentials of a NATS user and a database role.
func (f *Secured) Flags(natsUser, databaseRole string) []string {
	return append(f.NatsFlags(natsUser), "--database-url", f.DatabaseURL(databaseRole))
}

// Connect connects to NATS as this user, with an inbox that it may subscribe to.
func (f *Secured) Connect(user string, options ...nats.Option) *nats.Conn {
	f.t.Helper()
	certificate, key := f.CA.Issue(user)
	nc, err := nats.Connect(f.NATS.URL, append(options, nats.Timeout(Patience), nats.UserInfo(user, Password), nats.RootCAs(f.CA.File("ca.crt")),
		nats.ClientCert(certificate, key), nats.CustomInboxPrefix("_INBOX_"+user), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(nc.Close)
	return nc
}

// Subscription creates the durable consumer mailer as the operator, and opens it as the subscriber of that name.
func (f *Secured) Subscription() jetstream.Consumer {
	f.t.Helper()
	if status, stdout, stderr := RunLine(f.t, append([]string{"events", "subscribe", "mailer"}, f.NatsFlags("operator")...)...); status != 0 {
		f.t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	js, err := jetstream.New(f.Connect("mailer"))
	if err != nil {
		f.t.Fatal(err)
	}
	consumer, err := js.Consumer(f.t.Context(), domain.StreamEvents, "mailer")
	if err != nil {
		f.t.Fatal(err)
	}
	return consumer
}

// Permissions checks the permissions of each role: it tries both allowed and refused actions.
func (f *Secured) Permissions(t *testing.T) {
	const someone = "0190d0c5-0000-7000-8000-000000000000"
	type try struct {
		Role, Action string
		Allowed      bool
		Do           func(ctx context.Context, role string) error
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
		insert     = `INSERT INTO clients (id) SELECT id FROM clients WHERE false`
		read       = `SELECT id FROM clients LIMIT 1`
		update     = `UPDATE clients SET last_name = last_name WHERE false`
		remove     = `DELETE FROM clients WHERE false`
		drop       = `DROP TABLE clients`
		entomb     = `INSERT INTO erasures (hash) SELECT hash FROM erasures WHERE false`
		tombstones = `SELECT hash FROM erasures LIMIT 1`
		exhume     = `DELETE FROM erasures WHERE false`
		holds      = `SELECT hash FROM holds LIMIT 1`
		hold       = `INSERT INTO holds (hash) SELECT hash FROM holds WHERE false`
		release    = `DELETE FROM holds WHERE false`
		prolong    = `UPDATE holds SET last_day = last_day WHERE false`
		schema     = `INSERT INTO clientele_schema (version_id, is_applied) SELECT 99, true WHERE false`
	)
	byID := "$JS.API.DIRECT.GET." + domain.StreamCommands + "."
	all := "$JS.API.DIRECT.GET." + domain.StreamCommands
	consumer := func(stream string) string {
		return fmt.Sprintf(`{"stream_name":%q,"config":{"name":"x","ack_policy":"none","mem_storage":true}}`, stream)
	}
	for _, c := range []try{
		{"ingress", "publish a command", true, request(domain.SubjectCreate+someone, "x")},
		{"ingress", "read one command by its id", true, request(byID+domain.SubjectCreate+someone, "")},
		{"ingress", "read commands by their sequence", false, request(all, `{"seq":1}`)},
		{"ingress", "read commands in a batch", false, request(all, `{"batch":10,"seq":1}`)},
		{"ingress", "read a message through the API", false, request("$JS.API.STREAM.MSG.GET."+domain.StreamCommands, `{"seq":1}`)},
		{"ingress", "create a consumer", false, request("$JS.API.CONSUMER.CREATE."+domain.StreamCommands+".x", consumer(domain.StreamCommands))},
		{"ingress", "fetch commands of the workers", false, request("$JS.API.CONSUMER.MSG.NEXT."+domain.StreamCommands+".worker", "1")},
		{"ingress", "purge the log", false, request("$JS.API.STREAM.PURGE."+domain.StreamCommands, "")},
		{"ingress", "delete a stream", false, request("$JS.API.STREAM.DELETE."+domain.StreamCommands, "")},
		{"ingress", "publish an event", false, request(domain.SubjectCreated, "x")},
		{"ingress", "publish a rejection", false, request(domain.SubjectRejected+someone, "x")},
		{"ingress", "record a read", true, request(domain.SubjectAudit+string(domain.AuditClientRead), "{}")},
		{"ingress", "record an action of an operator", false, request(domain.SubjectAudit+string(domain.AuditErase), "{}")},
		{"ingress", "read the audit trail", false, request("$JS.API.DIRECT.GET."+domain.StreamAudit, `{"seq":1}`)},
		{"ingress", "receive completion notices", true, subscribe(domain.SubjectCompleted + "*")},
		{"ingress", "publish a completion notice", false, request(domain.SubjectCompleted+someone, "")},
		{"ingress", "receive commands", false, subscribe("client.create.*")},
		{"ingress", "receive events", false, subscribe(domain.SubjectCreated)},
		{"ingress", "receive the answers to a worker", false, subscribe("_INBOX_worker.>")},
		{"ingress", "see the processes", false, subscribe("presence.>")},
		{"ingress", "SELECT clients", true, query(read)},
		{"ingress", "INSERT clients", false, query(insert)},
		{"ingress", "UPDATE clients", false, query(update)},
		{"ingress", "DELETE clients", false, query(remove)},
		{"ingress", "SELECT tombstones", false, query(tombstones)},

		{"worker", "publish a rejection", true, request(domain.SubjectRejected+someone, "{}")},
		{"worker", "find the start of the history", true, request(all, `{"batch":1,"start_time":"2026-01-01T00:00:00Z"}`)},
		{"worker", "trim the log", true, request("$JS.API.STREAM.PURGE."+domain.StreamCommands, `{"seq":1}`)},
		{"worker", "publish a command", false, request(domain.SubjectCreate+someone, "x")},
		{"worker", "publish an erasure", false, request(domain.SubjectErased, "x")},
		{"worker", "read events", true, request("$JS.API.DIRECT.GET."+domain.StreamEvents, `{"seq":1}`)},
		{"worker", "create a consumer", false, request("$JS.API.CONSUMER.CREATE."+domain.StreamEvents+".x", consumer(domain.StreamEvents))},
		{"worker", "purge the events", false, request("$JS.API.STREAM.PURGE."+domain.StreamEvents, "")},
		{"worker", "purge the rejections", false, request("$JS.API.STREAM.PURGE."+domain.StreamRejections, "")},
		{"worker", "change its stream", false, request("$JS.API.STREAM.UPDATE."+domain.StreamCommands, "{}")},
		{"worker", "delete its consumer", false, request("$JS.API.CONSUMER.DELETE."+domain.StreamCommands+".worker", "")},
		{"worker", "look at a stream of others", false, request("$JS.API.STREAM.INFO.OTHERS", "")},
		{"worker", "record an action", false, request(domain.SubjectAudit+string(domain.AuditClientRead), "{}")},
		{"worker", "receive events", false, subscribe(domain.SubjectCreated)},
		{"worker", "see the other workers", false, subscribe("presence.worker")},
		{"worker", "INSERT clients", true, query(insert)},
		{"worker", "SELECT clients", true, query(read)},
		{"worker", "UPDATE clients", false, query(update)},
		{"worker", "DELETE clients", false, query(remove)},
		{"worker", "SELECT tombstones", true, query(tombstones)},
		{"worker", "INSERT tombstones", false, query(entomb)},
		{"worker", "DELETE tombstones", false, query(exhume)},
		{"worker", "DELETE holds", false, query(release)},
		{"worker", "write the schema's version", false, query(schema)},
		{"worker", "DROP clients", false, query(drop)},

		{"mailer", "look at its consumer", true, request("$JS.API.CONSUMER.INFO."+domain.StreamEvents+".mailer", "")},
		{"mailer", "create a consumer of events", false, request("$JS.API.CONSUMER.CREATE."+domain.StreamEvents+".x", consumer(domain.StreamEvents))},
		{"mailer", "look at the consumer of another subscriber", false, request("$JS.API.CONSUMER.INFO."+domain.StreamEvents+".crm", "")},
		{"mailer", "record a position", false, request(domain.SubjectPosition+"mailer", `{"accepted":0}`)},
		{"mailer", "read the webhooks", false, request("$JS.API.DIRECT.GET."+domain.StreamWebhooks, `{"seq":1}`)},
		{"mailer", "read the state of subscribers", false, request("$JS.API.DIRECT.GET."+domain.StreamSubscriptions, `{"seq":1}`)},
		{"mailer", "publish an event", false, request(domain.SubjectCreated, "x")},
		{"mailer", "publish a command", false, request(domain.SubjectCreate+someone, "x")},
		{"mailer", "read commands", false, request(all, `{"seq":1}`)},
		{"mailer", "read one command by its id", false, request(byID+domain.SubjectCreate+someone, "")},
		{"mailer", "delete an event", false, request("$JS.API.STREAM.MSG.DELETE."+domain.StreamEvents, `{"seq":1}`)},

		{"operator", "see the processes", true, subscribe("presence.>")},
		{"forward", "read the webhooks", true, request("$JS.API.DIRECT.GET."+domain.StreamWebhooks, `{"seq":1}`)},
		{"forward", "record the health of a webhook", true, request(streams.WebhookKeys+"health.x", "{}")},
		{"forward", "add a webhook", false, request(streams.WebhookKeys+"endpoint.x", "{}")},
		{"forward", "remove a webhook", false, request("$JS.API.STREAM.PURGE."+domain.StreamWebhooks, "")},
		{"forward", "receive requests to deliver", true, subscribe("client.deliver.*")},
		{"forward", "take the events of a subscriber on NATS", false, request("$JS.API.CONSUMER.MSG.NEXT."+domain.StreamEvents+".mailer", "1")},
		{"forward", "create a consumer of events", false, request("$JS.API.CONSUMER.CREATE."+domain.StreamEvents+".x", consumer(domain.StreamEvents))},
		{"forward", "read events", false, request("$JS.API.DIRECT.GET."+domain.StreamEvents, `{"seq":1}`)},
		{"forward", "receive events", false, subscribe(domain.SubjectCreated)},
		{"forward", "publish an event", false, request(domain.SubjectCreated, "x")},
		{"forward", "read commands", false, request(all, `{"seq":1}`)},
		{"forward", "publish a command", false, request(domain.SubjectCreate+someone, "x")},
		{"forward", "record an action", false, request(domain.SubjectAudit+string(domain.AuditErase), "{}")},

		{"operator", "look at a stream", true, request("$JS.API.STREAM.INFO."+domain.StreamRejections, "")},
		{"operator", "publish an outcome", false, request(domain.SubjectRejected+"x", "x")},
		{"operator", "publish anything else", false, request("orders", "x")},
		{"operator", "record an action", true, request(domain.SubjectAudit+string(domain.AuditErase), "{}")},
		{"operator", "delete a record of the audit trail", false, request("$JS.API.STREAM.MSG.DELETE."+domain.StreamAudit, `{"seq":1}`)},
		{"operator", "purge the audit trail", false, request("$JS.API.STREAM.PURGE."+domain.StreamAudit, "")},
		{"operator", "delete the audit trail", false, request("$JS.API.STREAM.DELETE."+domain.StreamAudit, "")},
		{"operator", "SELECT clients", true, query(read)},
		{"operator", "UPDATE clients", false, query(update)},
		{"operator", "DELETE clients", true, query(remove)},
		{"operator", "INSERT clients", false, query(insert)},
		{"operator", "SELECT tombstones", true, query(tombstones)},
		{"operator", "INSERT tombstones", true, query(entomb)},
		{"operator", "DELETE tombstones", false, query(exhume)},
		{"operator", "SELECT holds", true, query(holds)},
		{"operator", "INSERT holds", true, query(hold)},
		{"operator", "DELETE holds", true, query(release)},
		{"operator", "UPDATE holds", false, query(prolong)},
		{"operator", "DROP clients", false, query(drop)},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := c.Do(ctx, c.Role)
		cancel()
		refused := errors.Is(err, errRefused)
		if err != nil && !refused {
			t.Errorf("%s: %s: %v", c.Role, c.Action, err)
		}
		if refused == c.Allowed {
			t.Errorf("%s: %s: refused %v, want allowed %v", c.Role, c.Action, refused, c.Allowed)
		}
		t.Logf("%-10s  %-35s  %s", c.Role, c.Action, map[bool]string{true: "refused", false: "allowed"}[refused])
	}
	// A connection without a certificate is refused.
	if nc, err := nats.Connect(f.NATS.URL, nats.UserInfo("ingress", Password), nats.RootCAs(f.CA.File("ca.crt"))); err == nil {
		nc.Close()
		t.Error("NATS takes a client without a certificate")
	}
	if nc, err := nats.Connect(f.NATS.URL, nats.UserInfo("ingress", "wrong"), nats.RootCAs(f.CA.File("ca.crt")),
		nats.ClientCert(f.CA.File("ingress.crt"), f.CA.File("ingress.key"))); err == nil {
		nc.Close()
		t.Error("NATS takes a wrong password")
	}
	plain := strings.Replace(f.DatabaseURL("worker"), "verify-full", "disable", 1)
	if conn, err := pgx.Connect(t.Context(), plain); err == nil {
		_ = conn.Close(t.Context())
		t.Error("PostgreSQL accepts a role without TLS")
	}
	stranger := strings.Replace(f.DatabaseURL("worker"), f.CA.File("ca.crt"), NewAuthority(t).File("ca.crt"), 1)
	if conn, err := pgx.Connect(t.Context(), stranger); err == nil {
		_ = conn.Close(t.Context())
		t.Error("a certificate of another authority is accepted")
	}
}

var errRefused = errors.New("refused")

// request sends a request as the user. It returns errRefused if the server refuses it.
func (f *Secured) request(ctx context.Context, user, subject, body string) error {
	violations := make(chan error, 10)
	nc := f.Connect(user, nats.ErrorHandler(nil))
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
		if errors.Is(err, nats.ErrNoResponders) { // the account of the user does not import the subject
			err = fmt.Errorf("%w: %w", errRefused, err)
		}
		return err
	}
}

func (f *Secured) subscribe(user, subject string) error {
	nc := f.Connect(user)
	defer nc.Close()
	subscription, err := nc.SubscribeSync(subject)
	if err != nil {
		return err
	}
	if err := nc.Flush(); err != nil {
		return err
	}
	// The server reports a refusal before it answers the flush, and nats.go handles it in another goroutine.
	if _, err := subscription.NextMsg(200 * time.Millisecond); errors.Is(err, nats.ErrPermissionViolation) || strings.Contains(fmt.Sprint(nc.LastError()), "ermissions") {
		return errRefused
	}
	return nil
}

func (f *Secured) query(ctx context.Context, role, statement string) error {
	conn, err := pgx.Connect(ctx, f.DatabaseURL(role))
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
