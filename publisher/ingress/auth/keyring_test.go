package auth_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clientele/publisher/ingress/auth"

	"github.com/prometheus/client_golang/prometheus"
)

// metric returns the value of a metric without labels, and the number of metrics with this name.
func metric(t *testing.T, registry *prometheus.Registry, name string) (value float64, n int) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue(), len(family.GetMetric())
		}
	}
	return 0, 0
}

// TestAKeysFileThatCannotBeRead checks that keys remain valid for the grace, and that every key is refused after it.
func TestAKeysFileThatCannotBeRead(t *testing.T) {
	key, token := auth.NewKey(writer, time.Time{})
	expired, _ := auth.NewKey(writer, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)) // before the clock of a bubble starts
	lines := []byte(key.String() + "\n" + expired.String() + "\n")
	for name, spoil := range map[string]func(path string) error{
		"missing":          os.Remove,
		"malformed":        func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
		"group-writable":   func(path string) error { return os.Chmod(path, 0o620) },
		"world-writable":   func(path string) error { return os.Chmod(path, 0o602) },
		"not regular":      func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"dangling symlink": func(path string) error { return errors.Join(os.Remove(path), os.Symlink("nowhere", path)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			write := func() {
				if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, lines, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			write()
			synctest.Test(t, func(t *testing.T) {
				registry := prometheus.NewRegistry()
				k := auth.NewKeyring(auth.KeyringConfig{Path: path, Grace: 5 * time.Minute, Metrics: registry})
				if changed, err := k.Load(); err != nil || !changed {
					t.Fatal(changed, err)
				}
				if changed, err := k.Load(); err != nil || changed {
					t.Fatal(changed, err)
				}
				is := func(valid int, stale time.Duration) {
					t.Helper()
					if seconds, _ := metric(t, registry, auth.MetricStale); seconds != stale.Seconds() {
						t.Errorf("stale for %v s, want %v", seconds, stale)
					}
					if _, n := metric(t, registry, auth.MetricValid); n != valid {
						t.Errorf("%d valid keys, want %d", n, valid)
					}
				}
				is(1, 0)
				if err := spoil(path); err != nil {
					t.Fatal(err)
				}
				if _, err := k.Load(); err == nil || k.Ready(t.Context()) == nil {
					t.Fatal("the file can be read")
				}
				<-time.After(5*time.Minute - time.Second) // of the bubble's clock
				_, _ = k.Load()
				if _, err := k.Authenticate(t.Context(), token); err != nil {
					t.Errorf("during the grace: %v", err)
				}
				is(1, 5*time.Minute-time.Second)
				<-time.After(time.Second)
				stale, ok := errors.AsType[*auth.StaleError](authenticate(t, k, token))
				if !ok || !strings.Contains(stale.Error(), "keys have been refused since") {
					t.Errorf("after the grace: %v", stale)
				}
				is(0, 5*time.Minute)
				write()
				if changed, err := k.Load(); err != nil || changed || k.Ready(t.Context()) != nil {
					t.Error(changed, err)
				}
				if err := authenticate(t, k, token); err != nil {
					t.Errorf("after the repair: %v", err)
				}
				is(1, 0)
			})
		})
	}
	k := auth.NewKeyring(auth.KeyringConfig{Path: filepath.Join(t.TempDir(), "none")})
	if _, err := k.Load(); !errors.Is(err, fs.ErrNotExist) || k.Ready(t.Context()) != nil {
		t.Errorf("at the start: %v", err)
	}
}

func authenticate(t *testing.T, k *auth.Keyring, token string) error {
	t.Helper()
	_, err := k.Authenticate(t.Context(), token)
	return err
}
