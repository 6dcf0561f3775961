package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The metrics of a keyring. A process has the first one only if it has a keys file.
const (
	MetricStale = "clientele_keys_file_stale_seconds"
	MetricValid = "clientele_key_valid" // label: id
)

// KeyringConfig configures NewKeyring.
type KeyringConfig struct {
	// Path is the keys file.
	Path string
	// Grace is how long the keys remain valid after the file can no longer be read. It may have been changed to revoke one of them.
	Grace time.Duration
	// Changed, unless it is nil, is called with each key that a changed file adds or no longer has.
	Changed func(key Key, added bool)
	// Metrics is where the keyring registers its metrics, or nil.
	Metrics prometheus.Registerer
}

// Keyring authenticates callers by the keys in a file.
type Keyring struct {
	path    string
	grace   time.Duration
	changed func(key Key, added bool)

	mu      sync.RWMutex
	content []byte         // of the file when it was last read
	keys    map[string]Key // by id
	stale   *StaleError    // nil while the file can be read
}

// StaleError means that the keys file can no longer be read. No caller can be authenticated from Until on.
type StaleError struct {
	Err          error
	Since, Until time.Time
}

func (e *StaleError) Error() string {
	if e.expired() {
		return fmt.Sprintf("%v; keys have been refused since %s", e.Err, e.Until.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("%v; keys are refused from %s on", e.Err, e.Until.UTC().Format(time.RFC3339))
}

func (e *StaleError) Unwrap() error { return e.Err }

func (e *StaleError) expired() bool { return !time.Now().Before(e.Until) }

// NewKeyring returns a keyring without keys. Call Load to read the file.
func NewKeyring(cfg KeyringConfig) *Keyring {
	k := &Keyring{path: cfg.Path, grace: cfg.Grace, changed: cfg.Changed}
	promauto.With(cfg.Metrics).NewGaugeFunc(prometheus.GaugeOpts{
		Name: MetricStale, Help: "How long the keys file has been unreadable; 0 while it can be read.",
	}, func() float64 { return k.staleFor().Seconds() })
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(prometheus.CollectorFunc(k.collectValid))
	}
	return k
}

// collectValid collects a metric for each valid key.
func (k *Keyring) collectValid(metrics chan<- prometheus.Metric) {
	desc := prometheus.NewDesc(MetricValid, "1 for each API key that the process accepts, by the id of the key.", []string{"id"}, nil)
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.stale != nil && k.stale.expired() {
		return
	}
	for id, key := range k.keys {
		if !key.Expired(time.Now()) {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, 1, id)
		}
	}
}

func (k *Keyring) staleFor() time.Duration {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.stale == nil {
		return 0
	}
	return time.Since(k.stale.Since)
}

// Load reads the file, and reports whether its content has changed. If a file that was read before cannot be read, the error is a
// *StaleError, and the keyring keeps its keys for the grace.
func (k *Keyring) Load() (changed bool, err error) {
	content, keys, err := ReadKeysFile(k.path)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch now := time.Now(); {
	case err != nil && k.keys == nil:
		return false, err
	case err != nil && k.stale == nil:
		k.stale = &StaleError{err, now, now.Add(k.grace)}
		return false, k.stale
	case err != nil:
		k.stale = &StaleError{err, k.stale.Since, k.stale.Until}
		return false, k.stale
	}
	k.stale = nil
	if k.keys != nil && bytes.Equal(content, k.content) {
		return false, nil
	}
	before := k.keys
	k.content, k.keys = content, make(map[string]Key, len(keys))
	for _, key := range keys {
		k.keys[key.ID] = key
	}
	k.report(before)
	return true, nil
}

// report calls changed with the keys that differ from those before, which are nil at the start.
func (k *Keyring) report(before map[string]Key) {
	if k.changed == nil || before == nil {
		return
	}
	for id, key := range k.keys {
		if old, existed := before[id]; !existed || old.String() != key.String() {
			k.changed(key, true)
		}
	}
	for id, key := range before {
		if _, exists := k.keys[id]; !exists {
			k.changed(key, false)
		}
	}
}

// Ready returns a *StaleError if the file could not be read at the last attempt.
func (k *Keyring) Ready(context.Context) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.stale == nil {
		return nil
	}
	return k.stale
}

// key returns the key with this id. The error is ErrInvalidToken if there is none, or a *StaleError after the grace.
func (k *Keyring) key(id string) (Key, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.stale != nil && k.stale.expired() {
		return Key{}, k.stale
	}
	key, found := k.keys[id]
	if !found {
		return Key{}, ErrInvalidToken
	}
	return key, nil
}

// Authenticate returns the caller to which the key belongs. It takes the same time for known and unknown keys. The error is a
// *StaleError if the file has been unreadable for longer than the grace.
func (k *Keyring) Authenticate(_ context.Context, token string) (Caller, error) {
	hash := sha256.Sum256([]byte(token))
	id, _, _ := strings.Cut(strings.TrimPrefix(token, keyPrefix), "_")
	key, err := k.key(id) // no token has the hash of the zero key
	same := subtle.ConstantTimeCompare(hash[:], key.Hash[:]) == 1
	if err != nil && !errors.Is(err, ErrInvalidToken) {
		return Caller{}, err
	}
	if err != nil || !same || key.Expired(time.Now()) {
		return Caller{}, ErrInvalidToken
	}
	key.KeyID = key.ID
	return key.Caller, nil
}
