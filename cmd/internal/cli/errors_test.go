package cli_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clientele/cmd/internal/datadir"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
)

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	locked := t.TempDir()
	dir, err := datadir.Open(locked)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	setting := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(setting, []byte("http: 8222"), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func(args ...string) []string {
		base := []string{
			"serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--nats-listen=127.0.0.1:0",
			"--data-dir=" + t.TempDir(), "--log-level=error",
		}
		return append(base, args...)
	}
	external := func(args ...string) []string {
		return append([]string{"worker", "--admin-listen=127.0.0.1:0", "--log-level=error"}, args...)
	}
	rejections := func(args ...string) []string { return append([]string{"rejections"}, args...) }
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"API port taken", serve("--listen=" + taken.Addr().String()), 1, "--listen: " + taken.Addr().String() + " is in use by another program: stop it, or choose another address"},
		{"admin port taken", serve("--admin-listen=" + taken.Addr().String()), 1, "--admin-listen: " + taken.Addr().String() + " is in use by another program"},
		{"NATS port taken", serve("--nats-listen=" + taken.Addr().String()), 1, "--nats-listen: " + taken.Addr().String() + " is in use by another program"},
		{"no address", serve("--listen=here"), 1, `--listen: cannot listen on "here", choose another HOST:PORT`},
		{"no NATS address", serve("--nats-listen=here"), 1, `--nats-listen: cannot listen on "here", choose another HOST:PORT`},
		{"no NATS port", serve("--nats-listen=127.0.0.1:nats-port"), 1, "--nats-listen"},
		{"directory locked", serve("--data-dir=" + locked), 1, "--data-dir: " + locked + " is in use by another clientele: stop it, or choose another directory"},
		{"directory locked, and a port taken", serve("--data-dir="+locked, "--admin-listen="+taken.Addr().String()), 1, locked + " is in use by another clientele"},
		{"directory is a file", serve("--data-dir=" + file), 1, "--data-dir: create the directory: mkdir " + file + ": not a directory: choose another directory"},
		{"log larger than the memory", serve("--log-max-bytes=999999999999999"), 2, "--log-max-bytes: a full log of 999999999999999 bytes needs"},
		{"events larger than the disk", serve("--event-max-bytes=999999999999999"), 1, "--event-max-bytes"},
		{"NATS URL", external("--nats-url=http://x", "--database-url=postgres://x/x"), 1, "--nats-url: must be a URL such as nats://host:4222"},
		{"NATS credentials", external("--nats-url=nats://127.0.0.1:1", "--nats-creds=/nonexistent", "--database-url=postgres://x/x"), 1, "--nats-creds"},
		{"database URL", external("--nats-url=nats://x", "--database-url=mysql://u:secret@x/x"), 1, "--database-url"},

		{"everybody", serve("--listen=0.0.0.0:0"), 2, "refusing to serve 0.0.0.0:0 without authentication: set --keys-file (see clientele keys new --help) or --oidc-issuer"},
		{"everybody, and IPv6", serve("--listen=[::]:0"), 2, "or pass --insecure-no-auth"},
		{"everybody, and no host", []string{"ingress", "--listen=:0", "--nats-url=nats://x", "--database-url=postgres://x/x"}, 2, "refusing to serve :0 without authentication"},
		{"auth and no auth", serve("--insecure-no-auth", "--keys-file="+file), 2, "--insecure-no-auth: conflicts with API keys and with an issuer"},
		{"no keys file", serve("--keys-file=/nonexistent"), 1, "see clientele keys new --help"},
		{"keys grace", serve("--keys-grace=-1s"), 2, "--keys-grace: must not be negative"},
		{"issuer alone", serve("--oidc-issuer=https://x"), 2, "--oidc-issuer and --oidc-audience: set both or neither"},
		{"issuer without TLS", serve("--oidc-issuer=http://x.example", "--oidc-audience=a"), 2, "--oidc-issuer: must be an HTTPS URL"},
		{"certificate alone", serve("--tls-cert=" + file), 2, "--tls-cert and --tls-key: set both or neither"},
		{"certificate that is none", serve("--tls-cert="+file, "--tls-key="+file), 1, "--tls-cert and --tls-key: "},
		{"allowed host with a port", serve("--allowed-host=x.example:80"), 2, "--allowed-host: must be a host name without a port"},
		{"allowed host that is a URL", serve("--allowed-host=http://x.example"), 2, "--allowed-host: must be a host name"},
		{"rate", serve("--rate-limit=-1"), 2, "--rate-limit: must not be negative"},
		{"no requests", serve("--max-requests=0"), 2, "--max-requests: must be at least 1"},
		{"negative waiting", serve("--max-waiting=-1"), 2, "--max-waiting: must not be negative"},
		{"everybody at NATS", serve("--nats-listen=0.0.0.0:0"), 1, "--nats-listen and --nats-config: without users, every program that can connect could read and write everything: define users in a configuration"},
		{"no encryption key", serve("--nats-encryption-key-file=/nonexistent"), 1, "--nats-encryption-key-file: open /nonexistent: no such file or directory; create a key with openssl rand -hex 32"},
		{"short encryption key", serve("--nats-encryption-key-file=" + file), 1, "at least 32 characters"},
		{"console for everybody", serve("--console-listen=0.0.0.0:0"), 2, "refusing to serve 0.0.0.0:0 without authentication: set --keys-file (see clientele keys new --help) or --oidc-issuer"},
		{"console for everybody, like the API", serve("--console-listen=0.0.0.0:0", "--insecure-no-auth"), 2, "refusing to serve 0.0.0.0:0 without authentication"},
		{"console in use", serve("--console-listen=" + taken.Addr().String()), 1, "--console-listen: " + taken.Addr().String() + " is in use by another program"},
		{"no serve for the console", []string{"console", "--data-dir=/nonexistent"}, 1, "/nonexistent/clientele.db does not exist: pass the --data-dir of the clientele serve"},
		{"console of half a system", []string{"console", "--nats-url=nats://127.0.0.1:1"}, 2, "pass both --nats-url and --database-url"},
		{"certificate of the console", []string{"console", "--tls-key=x"}, 2, "--tls-cert and --tls-key: set both or neither"},
		{"CA", external("--nats-url=nats://127.0.0.1:1", "--nats-ca=/nonexistent", "--database-url=postgres://x/x"), 1, "--nats-ca"},
		{"NATS certificate", external("--nats-url=nats://127.0.0.1:1", "--nats-cert=/nonexistent", "--database-url=postgres://x/x"), 1, "--nats-cert and --nats-key: set both or neither"},

		{"key name", []string{"keys", "new", "--name=a b", "--scope=clients:read"}, 2, "a name must be up to 64 letters"},
		{"key scope", []string{"keys", "new", "--name=a", "--scope=all"}, 2, "the scopes must be among clients:write, clients:read, operator and operator:read"},
		{"key expired", []string{"keys", "new", "--name=a", "--scope=clients:read", "--expires=2020-01-01T00:00:00Z"}, 2, "--expires: must be in the future"},
		{"key expiry", []string{"keys", "new", "--name=a", "--scope=clients:read", "--expires=soon"}, 2, "nor a duration, such as 24h or 90d"},
		{"no keys", []string{"keys", "ls", "--keys-file=/nonexistent"}, 1, "/nonexistent"},
		{"admin listener", []string{"keys", "revoke", "--keys-file=" + file, "--wait", "--admin=127.0.0.1:9090", "abc"}, 2, "--admin must be like http://127.0.0.1:9090"},
		{"no time to wait", []string{"keys", "revoke", "--keys-file=" + file, "--wait", "--timeout=0s", "abc"}, 2, "--timeout must be positive"},
		{"no such key", []string{"keys", "revoke", "--keys-file=" + file, "abc"}, 1, "see clientele keys ls"},
		{"erase what", []string{"erase", "--yes", "x"}, 2, "the id is not a UUID"},
		{"erase where", []string{"erase", "--yes", domain.KeyedID("", "a", "b").String(), "--data-dir=/nonexistent"}, 1, "or --database-url"},

		{"erase in half a system", []string{"erase", "--yes", domain.KeyedID("", "a", "b").String(), "--nats-url=nats://127.0.0.1:1"}, 2, "pass both --nats-url and --database-url"},
		{"replay half a system", []string{"events", "replay", "--yes", "--since=1h", "--database-url=postgres://x/x"}, 2, "pass both --nats-url and --database-url"},
		{"back up half a system", []string{"backup", filepath.Join(t.TempDir(), "x"), "--nats-url=nats://127.0.0.1:1"}, 2, "pass both --nats-url and --database-url"},
		{"find whom", []string{"clients", "find"}, 2, "pass --email or --name"},
		{"find nobody", []string{"clients", "find", "--email= ", "--name= "}, 2, "pass --email or --name"},
		{"find none", []string{"clients", "find", "--name=x", "--limit=0"}, 2, "--limit must be at least 1"},
		{"find where", []string{"clients", "find", "--name=x", "--data-dir=/nonexistent"}, 1, "or --database-url"},
		{"show whom", []string{"clients", "show"}, 2, "<id>"},
		{"show a name", []string{"clients", "show", "Jane"}, 2, "the id is not a UUID"},

		{"unknown command", []string{"sing"}, 2, "--help"},
		{"unknown flag", []string{"serve", "--loud"}, 2, "--loud"},
		{"no admin address", []string{"serve", "--admin-listen="}, 2, "--admin-listen must be HOST:PORT"},
		{"no servers", []string{"ingress"}, 2, "--nats-url and --database-url are required"},
		{"batch size", []string{"serve", "--batch-size=0"}, 2, "--batch-size: must be from 1 to 1000"},
		{"concurrency", []string{"serve", "--concurrency=65"}, 2, "--concurrency: must be from 1 to 64"},
		{"history", []string{"serve", "--history=-1h"}, 2, "--history: must not be negative"},
		{"retention", []string{"serve", "--event-retention=1m"}, 2, "--event-retention must be at least 2m"},
		{"audit retention", []string{"serve", "--audit-retention=1m"}, 2, "--audit-retention must be at least 2m"},
		{"audit log", serve("--audit-log=/nonexistent/audit.log"), 1, "write the audit log: open /nonexistent/audit.log: no such file or directory: check the file of --audit-log"},
		{"audit of whom", []string{"audit", "ls", "--client=Jane"}, 2, "--client: the id is not a UUID"},
		{"log size", []string{"serve", "--log-max-bytes=1"}, 2, "--log-max-bytes must be at least"},
		{"size of events", []string{"serve", "--event-max-bytes=1"}, 2, "--event-max-bytes must be at least 8388608, or -1 for no limit"},
		{"replicas", []string{"serve", "--replicas=2"}, 2, "--replicas"},
		{"level", []string{"serve", "--log-level=loud"}, 2, "--log-level"},

		{"no NATS", rejections("ls", "--nats-url=nats://u:secret@127.0.0.1:1"), 1, "--nats-url: cannot reach NATS at nats://127.0.0.1:1: "},
		{"NATS that does not speak", rejections("ls", "--nats-url=nats://"+taken.Addr().String()), 1, "cannot reach NATS at"},
		{"NATS URL of an operator", rejections("ls", "--nats-url=http://x"), 1, "--nats-url: must be a URL such as nats://host:4222"},
		{"NATS credentials of an operator", rejections("ls", "--nats-url=nats://127.0.0.1:1", "--nats-creds=/nonexistent"), 1, "--nats-creds"},
		{"no serve", rejections("ls", "--data-dir=/nonexistent"), 1, "/nonexistent/nats.url does not exist: start clientele serve, pass the --data-dir of one that runs"},
		{"setting without effect", serve("--nats-config=" + setting), 1, `--nats-config: ` + setting + `: setting "http" has no effect in this process`},
		{"show nothing", rejections("show"), 2, "<id>"},
		{"reason", rejections("ls", "--reason=bad"), 2, "--reason must be one of"},
		{"since", rejections("ls", "--since=yesterday"), 2, "neither a time (RFC 3339), such as 2026-11-23T18:00:00Z, nor a duration, such as 24h or 90d"},
		{"since the future", rejections("ls", "--since=-1h"), 2, "--since"},
		{"until before since", rejections("ls", "--since=1h", "--until=2h"), 2, "--until must not be before --since"},
		{"retry what", rejections("retry"), 2, "pass ids, a filter (--reason, --pointer, --caller, --since, --until) or --all"},
		{"drop what", rejections("drop", "--yes"), 2, "pass ids, a filter (--reason, --pointer, --caller, --since, --until) or --all"},
		{"export what", rejections("export", "--output=x"), 2, "pass ids, a filter"},
		{"no pointer", rejections("ls", "--pointer=emailAddress"), 2, "--pointer must be a JSON Pointer, such as /address/postcode"},
		{"ids and all", rejections("retry", "a", "--all"), 2, "pass only one of ids, a filter"},
		{"a filter and all", rejections("retry", "--since=1h", "--all"), 2, "pass only one of ids, a filter"},
		{"ids and a filter", rejections("drop", "a", "--reason=invalid"), 2, "pass only one of ids, a filter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, _, stderr := testcluster.RunLine(t, c.args...)
			if status != c.status || !strings.Contains(stderr, c.want) {
				t.Errorf("exit status %d, want %d: %s", status, c.status, stderr)
			}
			if !strings.HasPrefix(stderr, "clientele: ") || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "secret") {
				t.Errorf("not one line without secrets: %q", stderr)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"help"}, {"serve", "--help"}, {"worker", "--help"}} {
		if status, stdout, stderr := testcluster.RunLine(t, args...); status != 0 || !strings.Contains(stdout, "Usage: clientele") {
			t.Errorf("%v: %d %q %q", args, status, stdout, stderr)
		}
	}
	if status, stdout, _ := testcluster.RunLine(t, "version"); status != 0 || !strings.HasPrefix(stdout, "clientele ") {
		t.Errorf("version: %d %q", status, stdout)
	}
}

func TestFlagsHaveEnvironmentTwins(t *testing.T) {
	t.Setenv("CLIENTELE_BATCH_SIZE", "0")
	if status, _, stderr := testcluster.RunLine(t, "serve"); status != 2 || !strings.Contains(stderr, "--batch-size") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}
