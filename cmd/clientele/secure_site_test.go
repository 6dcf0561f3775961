package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clientele/store/storetest"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
)

// authority issues certificates for one test.
type authority struct {
	t           *testing.T
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key, a.certificate = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "authority of a test"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, "ca")
	return a
}

// issue writes a certificate for 127.0.0.1, good for servers and clients, and returns its files.
func (a *authority) issue(name string) (certificate, key string) {
	a.t.Helper()
	a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, name)
	return a.file(name + ".crt"), a.file(name + ".key")
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) sign(template *x509.Certificate, name string) (*ecdsa.PrivateKey, *x509.Certificate) {
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
		if err := os.WriteFile(a.file(name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, signed
}

// client is an HTTP client that trusts the authority.
func (a *authority) client() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}, Timeout: 20 * time.Second}
}

// fortress is Clientele as separate processes that trust nobody: the files of deploy, TLS everywhere, a user for each role.
type fortress struct {
	t        *testing.T
	ca       *authority
	nats     *natsServer
	postgres *storetest.PostgresServer
}

const password = "password-of-a-test"

func newFortress(t *testing.T) *fortress {
	t.Helper()
	f := &fortress{t: t, ca: newAuthority(t), postgres: storetest.StartPostgres(t)}
	for _, role := range []string{"INGRESS", "WORKER", "OPERATOR", "SUBSCRIBER"} {
		t.Setenv("NATS_"+role+"_PASSWORD", password)
	}
	f.ca.issue("server")
	f.nats = startNATSServerWith(t, map[string]string{`# include "tls.conf"`: `include "tls.conf"`}, map[string]string{"/etc/clientele/tls": f.ca.dir})

	read := func(path string) []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	f.postgres.UseTLS(t, read(f.ca.file("server.crt")), read(f.ca.file("server.key")))
	f.roles()
	for _, role := range []string{"owner", "worker", "ingress", "operator"} {
		f.sql(`ALTER ROLE clientele_` + role + ` PASSWORD '` + password + `'`)
	}
	if status := clientele(t, "migrate", f.flags("operator", "owner")...).wait(); status != 0 {
		t.Fatalf("migrate: exit status %d", status)
	}
	f.roles()
	return f
}

// roles runs deploy/postgres/roles.sql.
func (f *fortress) roles() {
	f.t.Helper()
	content, err := os.ReadFile("../../deploy/postgres/roles.sql")
	if err != nil {
		f.t.Fatal(err)
	}
	f.sql(string(content))
}

func (f *fortress) sql(statements string) {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.postgres.URL())
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(f.t.Context())
	if _, err := conn.Exec(f.t.Context(), statements); err != nil {
		f.t.Fatal(err)
	}
}

// natsFlags are the flags of a program that is this user of NATS.
func (f *fortress) natsFlags(user string) []string {
	certificate, key := f.ca.issue(user)
	return []string{
		"--nats-url", strings.Replace(f.nats.url, "nats://", "tls://"+user+":"+password+"@", 1),
		"--nats-ca", f.ca.file("ca.crt"), "--nats-cert", certificate, "--nats-key", key,
	}
}

// databaseURL is the database for this role.
func (f *fortress) databaseURL(role string) string {
	url := strings.Replace(f.postgres.URL(), "clientele@", "clientele_"+role+":"+password+"@", 1)
	return strings.Replace(url, "sslmode=disable", "sslmode=verify-full&sslrootcert="+f.ca.file("ca.crt"), 1)
}

func (f *fortress) flags(natsUser, databaseRole string) []string {
	return append(f.natsFlags(natsUser), "--database-url", f.databaseURL(databaseRole))
}

// connect is a connection to NATS as this user, with an inbox that it may listen on.
func (f *fortress) connect(user string, options ...nats.Option) *nats.Conn {
	f.t.Helper()
	certificate, key := f.ca.issue(user)
	nc, err := nats.Connect(f.nats.url, append(options, nats.UserInfo(user, password), nats.RootCAs(f.ca.file("ca.crt")),
		nats.ClientCert(certificate, key), nats.CustomInboxPrefix("_INBOX_"+user), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(nc.Close)
	return nc
}
