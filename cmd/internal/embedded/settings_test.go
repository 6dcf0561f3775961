package embedded_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clientele/cmd/internal/embedded"
	"clientele/cmd/internal/testcluster"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// startConfigured starts a server with the text as its configuration.
func startConfigured(t *testing.T, config string) (*embedded.NATS, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, err := startWith(t, embedded.NATSConfig{Dir: t.TempDir(), ConfigFile: file})
	return s, err
}

// TestSettingsWithoutEffectAreRefused checks that a configuration has no setting that the server does not follow.
func TestSettingsWithoutEffectAreRefused(t *testing.T) {
	const users = "users: [{user: a, password: b}]"
	ca := testcluster.NewAuthority(t)
	certificate, key := ca.Issue("server")
	tls := "cert_file: \"" + certificate + "\", key_file: \"" + key + "\", ca_file: \"" + ca.File("ca.crt") + "\", "
	for name, config := range map[string]string{
		`"listen"`:          `listen: 0.0.0.0:4222`,
		`"http"`:            `http: 8222`,
		`"HTTP_port"`:       `HTTP_port: 8222`,
		`"cluster"`:         `cluster { name: c, listen: 127.0.0.1:-1 }`,
		`"leafnodes"`:       `leafnodes { listen: 127.0.0.1:-1 }`,
		`"websocket"`:       `websocket { listen: 127.0.0.1:-1, no_tls: true }`,
		`"mqtt"`:            `mqtt { listen: 127.0.0.1:-1 }, server_name: x`,
		`"jetstream"`:       `jetstream { store_dir: /tmp }`,
		`"max_payload"`:     `max_payload: 1024`,
		`"allow_non_tls"`:   `allow_non_tls: true`,
		`"no_auth_user"`:    `no_auth_user: a, authorization { ` + users + ` }`,
		`"proxy_required"`:  `authorization { proxy_required: true, ` + users + ` }`,
		`"verify_and_map"`:  `tls { ` + tls + `verify_and_map: true }, authorization { ` + users + ` }`,
		"users = [ … ]":     `authorization { user: a, password: b }`,
		"give each program": `authorization { token: a }`,
		`"auth_callout"`: `authorization { ` + users + `, auth_callout {
			issuer: ABJHLOVMPA4CI6R5KLNGOB4GSLNIY7IOUPAJC4YFNDLQVIOBYQGUWVLA, auth_users: [a] } }`,
	} {
		s, err := startConfigured(t, config)
		if file, ok := errors.AsType[*embedded.ConfigError](err); !ok || !strings.Contains(file.Err.Error(), name) {
			t.Errorf("%s: %v (server %v), want a *ConfigError with %s", config, err, s != nil, name)
		}
	}
}

// TestSettingsAreHonoured checks each way in which programs authenticate, and everything that restricts them.
func TestSettingsAreHonoured(t *testing.T) {
	ca := testcluster.NewAuthority(t)
	certificate, key := ca.Issue("server")
	pinned, pinnedKey := ca.Issue("pinned")
	other, otherKey := ca.Issue("other")
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := startConfigured(t, `
		ALLOWED = "orders.>"
		tls { cert_file: "`+certificate+`", key_file: "`+key+`", ca_file: "`+ca.File("ca.crt")+`", verify: true, timeout: 7
			pinned_certs: ["`+fingerprint(t, pinned)+`"] }
		authorization { timeout: 9, users: [{user: a, password: b, permissions: {publish: $ALLOWED}}, {nkey: `+public+`}] }`)
	if err != nil {
		t.Fatal(err)
	}
	connect := func(options ...nats.Option) (*nats.Conn, error) {
		return nats.Connect(s.ClientURL(), append(options, nats.RootCAs(ca.File("ca.crt")), nats.Timeout(testcluster.Patience))...)
	}
	password, withPinned := nats.UserInfo("a", "b"), nats.ClientCert(pinned, pinnedKey)
	for name, options := range map[string][]nats.Option{
		"a password": {withPinned, password},
		"an nkey":    {withPinned, nats.Nkey(public, pair.Sign)},
	} {
		nc, err := connect(options...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		nc.Close()
	}
	for name, options := range map[string][]nats.Option{
		"no password":                      {withPinned},
		"a wrong password":                 {withPinned, nats.UserInfo("a", "c")},
		"no certificate":                   {password},
		"a certificate that is not pinned": {password, nats.ClientCert(other, otherKey)},
	} {
		if nc, err := connect(options...); err == nil {
			nc.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

// fingerprint returns the value of pinned_certs for a certificate: SHA-256 of its public key.
func fingerprint(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}
