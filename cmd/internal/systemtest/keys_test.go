package systemtest

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/publishertest"
)

// keyIDs returns the ids of the keys in a file, by the name of the caller.
func keyIDs(t *testing.T, file string) map[string]string {
	t.Helper()
	_, keys, err := auth.ReadKeysFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, key := range keys {
		ids[key.Name] = key.ID
	}
	return ids
}

// runKeys runs clientele keys in a process, and returns its output and error.
func runKeys(t *testing.T, args ...string) error {
	out, err := exec.Command(testcluster.Program(t, "clientele"), append([]string{"keys"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}

// Concurrent keys new and keys revoke, each a process, lose no change of another.
func TestKeysAreChangedConcurrently(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	newKey := func(name string) error {
		return runKeys(t, "new", "--name", name, "--scope=clients:read", "--keys-file", file)
	}
	name := func(n int) string { return fmt.Sprintf("caller-%02d", n) }
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if err := newKey(name(n)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	before := keyIDs(t, file)
	if len(before) != 20 {
		t.Errorf("%d keys, want 20: %v", len(before), before)
	}
	for n := range 15 {
		wg.Go(func() {
			if err := newKey(name(100 + n)); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := runKeys(t, "revoke", "--keys-file", file, before[name(n)]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	after := keyIDs(t, file)
	for n := range 20 {
		if _, exists := after[name(n)]; exists != (n >= 15) {
			t.Errorf("%s exists: %v", name(n), exists)
		}
	}
	for n := range 15 {
		if after[name(100+n)] == "" {
			t.Errorf("%s was lost", name(100+n))
		}
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
	if err != nil || len(files) != 1 {
		t.Errorf("files: %v, %v", files, err)
	}
}

// foreign returns an owner that differs from the one of new files if this user may set one: root may set any, others only a group of
// theirs.
func foreign(t *testing.T) (uid, gid int) {
	t.Helper()
	if os.Geteuid() == 0 {
		return 12345, 23456
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	return os.Geteuid(), slices.Max(append(groups, os.Getegid()))
}

// keys new and keys revoke keep symbolic links, owner, mode and comments, so that a running process can still read the file.
func TestKeysFileKeepsItsOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link, file := filepath.Join(dir, "keys"), filepath.Join(dir, "..data", "keys")
	uid, gid := foreign(t)
	err := errors.Join(
		os.Mkdir(filepath.Dir(file), 0o700),
		os.WriteFile(file, []byte("# a comment\n"), 0o600),
		os.Symlink(filepath.Join("..data", "keys"), link),
		os.Chown(file, uid, gid),
		os.Chmod(file, 0o640),
	)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s, the link is %v, %v", when, info, err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		owner := info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm() != 0o640 || int(owner.Uid) != uid || int(owner.Gid) != gid {
			t.Errorf("%s, the file has mode %v and owner %d:%d, want %d:%d", when, info.Mode(), owner.Uid, owner.Gid, uid, gid)
		}
		if content, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(content), "# a comment\n") {
			t.Errorf("%s: %s, %v", when, content, err)
		}
	}
	if err := runKeys(t, "new", "--name=crm", "--scope=clients:read", "--keys-file", link); err != nil {
		t.Fatal(err)
	}
	check("after new")
	if err := runKeys(t, "revoke", "--keys-file", link, keyIDs(t, file)["crm"]); err != nil {
		t.Fatal(err)
	}
	check("after revoke")
	if n := len(keyIDs(t, file)); n != 0 {
		t.Errorf("%d keys", n)
	}
}

// A keys file that others may write is refused by the commands and by the server, and stays as it is.
func TestKeysFileThatOthersMayWrite(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	testcluster.NewKey(t, file, "crm", "clients:read")
	id := keyIDs(t, file)["crm"]
	for _, mode := range []os.FileMode{0o620, 0o602} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"keys", "new", "--name=web", "--scope=clients:read", "--keys-file", file},
			{"keys", "revoke", "--keys-file", file, id},
			{"keys", "ls", "--keys-file", file},
			{"serve", "--data-dir", t.TempDir(), "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--nats-listen=127.0.0.1:0", "--keys-file", file},
		} {
			status, stdout, stderr := testcluster.RunLine(t, args...)
			if want := fmt.Sprintf("has mode %04o, so others than its owner may write it", mode); status != cli.ExitError || !strings.Contains(stderr, want) {
				t.Errorf("%v: %d: %s%s", args, status, stdout, stderr)
			}
		}
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if ids := keyIDs(t, file); len(ids) != 1 || ids["crm"] != id {
		t.Errorf("%v", ids)
	}
}

// read sends a request for a client that does not exist, with a key.
func read(t *testing.T, api, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"/api/v2/clients/01a2094a-ae7f-79f4-934c-b301506a32bf", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := testcluster.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status == http.StatusServiceUnavailable &&
		(answer.Object(t)["type"] != "/problems/unavailable" || !strings.Contains(answer.Body, "cannot authenticate callers")) {
		t.Errorf("%s", answer.Body)
	}
	return answer.Status
}

// A process whose keys file cannot be read is not ready, and refuses callers after the grace, until the file can be read again.
func TestKeysFileBecomesUnreadable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	token := testcluster.NewKey(t, file, "crm", "clients:read")
	serve := func(grace string) *testcluster.Process {
		p := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--keys-file", file, "--keys-grace", grace)
		p.Ready()
		return p
	}
	patient, strict := serve("1h"), serve("2s")
	// The content, the size and the times of the file stay the same.
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*testcluster.Process{patient, strict} {
		publishertest.Eventually(t, "the process is not ready", func() bool {
			r := testcluster.Get(t, p.Admin()+"/readyz")
			return r.Status == http.StatusServiceUnavailable && strings.Contains(r.Body, "API keys: "+file+" has mode 0666")
		})
		p.Says(`"level":"error","error":"[^"]*has mode 0666[^"]*; keys are refused from [^"]*","time":"[^"]*","message":"cannot reload the API keys"`)
		if stale := testcluster.Metric(t, p.Admin(), auth.MetricStale); stale <= 0 {
			t.Errorf("stale for %v s", stale)
		}
	}
	publishertest.Eventually(t, "the grace ends", func() bool { return read(t, strict.API(), token) == http.StatusServiceUnavailable })
	strict.Says("keys have been refused since")
	if status := read(t, patient.API(), token); status != http.StatusNotFound {
		t.Errorf("during the grace: %d", status)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*testcluster.Process{patient, strict} {
		p.Ready()
		if status := read(t, p.API(), token); status != http.StatusNotFound {
			t.Errorf("after the repair: %d", status)
		}
		if stale := testcluster.Metric(t, p.Admin(), auth.MetricStale); stale != 0 {
			t.Errorf("stale for %v s", stale)
		}
		p.Stop()
	}
}

// keys revoke --wait returns when processes refuse the key, and fails if one of them does not.
func TestRevokeWaits(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	first, second := testcluster.NewKey(t, file, "first", "clients:read"), testcluster.NewKey(t, file, "second", "clients:read")
	id := func(token string) string { return strings.Split(token, "_")[1] }
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--keys-file", file)
	open := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	serve.Ready()
	open.Ready()
	revoke := func(token string, flags ...string) (status int, output string) {
		args := append([]string{"keys", "revoke", "--keys-file", file, id(token), "--wait"}, flags...)
		status, stdout, stderr := testcluster.RunLine(t, args...)
		return status, stdout + stderr
	}
	if status := read(t, serve.API(), first); status != http.StatusNotFound {
		t.Fatalf("before: %d", status)
	}
	if status, output := revoke(first, "--admin", serve.Admin()); status != cli.ExitOK || !strings.Contains(output, "refused by "+serve.Admin()) {
		t.Fatalf("%d: %s", status, output)
	}
	if status := read(t, serve.API(), first); status != http.StatusUnauthorized {
		t.Errorf("revoked and confirmed: %d", status)
	}
	for want, flags := range map[string][]string{
		"has no keys file":   {"--admin", open.Admin()},
		"connection refused": {"--admin", "http://" + testcluster.FreeAddress(t)},
		"404 Not Found":      {"--admin", serve.API()},
	} {
		third := testcluster.NewKey(t, file, "third", "clients:read")
		status, output := revoke(third, append(flags, "--timeout=3s")...)
		if status != cli.ExitError || !strings.Contains(output, "1 revoked") || !strings.Contains(output, "gave up after 3s (--timeout): "+flags[1]) ||
			!strings.Contains(output, want) {
			t.Errorf("%s: %d: %s", want, status, output)
		}
	}
	// The process reads a copy of the file, and never sees the revocation.
	copied := filepath.Join(t.TempDir(), "keys")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		t.Fatal(err)
	}
	copying := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--keys-file", copied)
	copying.Ready()
	status, output := revoke(second, "--admin", serve.Admin(), "--admin", copying.Admin(), "--timeout=10s")
	if status != cli.ExitError || !strings.Contains(output, "refused by "+serve.Admin()) || !strings.Contains(output, "it still accepts "+id(second)) {
		t.Errorf("%d: %s", status, output)
	}
}

// A service that runs as another user, like that of deploy/systemd, reads a keys file of its supplementary group. It refuses a key that
// root has revoked. Without root, it runs as this user.
func TestKeysFileOfAService(t *testing.T) {
	t.Parallel()
	const group = 23456
	dir := t.TempDir()
	file, data := filepath.Join(dir, "keys"), filepath.Join(dir, "data")
	token := testcluster.NewKey(t, file, "crm", "clients:read")
	program, args := testcluster.Program(t, "clientele"), []string{
		"serve", "--log-format=json", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--nats-listen=127.0.0.1:0",
		"--data-dir", data, "--keys-file", file,
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		args = append([]string{"--reuid=12345", "--regid=12345", fmt.Sprintf("--groups=%d", group), program}, args...)
		program = "setpriv"
		err := errors.Join(
			os.Chown(data, 12345, 12345), os.Chown(file, 0, group), os.Chmod(file, 0o640),
			os.Chmod(testcluster.Programs, 0o711), os.Chmod(dir, 0o711), os.Chmod(filepath.Dir(dir), 0o711),
		)
		if err != nil {
			t.Fatal(err)
		}
	}
	serve := testcluster.Start(t, program, args...)
	serve.Ready()
	if status := read(t, serve.API(), token); status != http.StatusNotFound {
		t.Fatalf("before: %d", status)
	}
	if err := runKeys(t, "revoke", "--keys-file", file, keyIDs(t, file)["crm"]); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "the key is refused", func() bool { return read(t, serve.API(), token) == http.StatusUnauthorized })
	serve.Ready()
	serve.Stop()
}
