// Package endpoint keeps the endpoints of webhooks in the key-value bucket CLIENT_WEBHOOKS: their settings with encrypted secrets, their
// health, and the records of their last deliveries. It does not deliver.
package endpoint

import (
	"net/url"
	"time"

	"clientele/domain"
)

// The actions of operators in the audit trail. The target is the name of the endpoint.
const (
	AuditAdd       domain.AuditAction = "webhook_add"
	AuditPause     domain.AuditAction = "webhook_pause"
	AuditRedeliver domain.AuditAction = "webhook_redeliver"
	AuditRemove    domain.AuditAction = "webhook_rm"
	AuditResume    domain.AuditAction = "webhook_resume"
	AuditRotate    domain.AuditAction = "webhook_rotate"
	AuditSet       domain.AuditAction = "webhook_set"
	AuditTest      domain.AuditAction = "webhook_test"
)

// State is the state of an endpoint.
type State string

// The states.
const (
	Active State = "active"
	// Paused means that an operator has paused the endpoint.
	Paused State = "paused"
	// Disabled means that every delivery has failed for so long that it is no longer tried.
	Disabled State = "disabled"
)

// Settings are what operators set. Only operators write them.
type Settings struct {
	// URL is where events are posted.
	URL string `json:"url"`
	// Secret is sealed, see Bucket.Keys. The previous ones, newest first, sign as well until their ends.
	Secret    []byte           `json:"secret"`
	Previous  []PreviousSecret `json:"previousSecrets,omitzero"`
	Paused    bool             `json:"paused,omitzero"`
	CreatedAt time.Time        `json:"createdAt"`
	// ActiveSince is when the endpoint was added or resumed. Earlier failures do not count.
	ActiveSince time.Time `json:"activeSince"`
	// GiveUpAfter is how long an event may fail while others succeed, before it is given up; 0 means forever.
	GiveUpAfter Duration `json:"giveUpAfter"`
	// DisableAfter is how long all events may fail before the endpoint is disabled; 0 means forever.
	DisableAfter Duration `json:"disableAfter"`
	// InFlight is the largest number of requests of a process at once.
	InFlight int `json:"inFlight"`
	// Subjects and IDOnly are those of the consumer, see subscription.Config. A lost consumer is created again with them.
	Subjects []string `json:"subjects,omitzero"`
	IDOnly   bool     `json:"idOnly,omitzero"`
}

// PreviousSecret is a secret, sealed, that was replaced and signs until its end.
type PreviousSecret struct {
	Secret []byte    `json:"secret"`
	Until  time.Time `json:"until"`
}

// PreviousUntil returns when the last previous secret ends or has ended; zero without one.
func (s Settings) PreviousUntil() (last time.Time) {
	for _, p := range s.Previous {
		if p.Until.After(last) {
			last = p.Until
		}
	}
	return last
}

// Health is what the processes that deliver report to each other. Only they write it, and resuming an endpoint removes it.
type Health struct {
	// LastSuccess is the time of a success, at most a minute before the last one; zero before the first.
	LastSuccess time.Time `json:"lastSuccess,omitzero"`
	// FailingSince is the time of the first failure after the last success; zero if the last attempt has succeeded.
	FailingSince time.Time `json:"failingSince,omitzero"`
	// LastError is the error of a failure since then, without client data.
	LastError string `json:"lastError,omitzero"`
	// DisabledAt is when the endpoint was disabled, or zero.
	DisabledAt time.Time `json:"disabledAt,omitzero"`
}

// Endpoint is an endpoint as the bucket has it.
type Endpoint struct {
	Name string
	Settings
	Health Health

	// revision and healthRevision are the sequences of the two values, 0 for none.
	revision, healthRevision uint64
}

// Revision changes with the settings.
func (e Endpoint) Revision() uint64 { return e.revision }

// State returns the state. An endpoint whose settings are unreadable is disabled.
func (e Endpoint) State() State {
	switch {
	case e.Paused:
		return Paused
	case !e.Health.DisabledAt.IsZero() || e.URL == "":
		return Disabled
	}
	return Active
}

// Host returns the host of the URL, or "-" for one that is not valid. The rest of the URL may be secret.
func (e Endpoint) Host() string {
	to, err := url.Parse(e.URL)
	if err != nil {
		return "-"
	}
	return to.Host
}

// Duration is a time.Duration with a text, such as 24h0m0s.
type Duration time.Duration

// MarshalText returns the text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText parses the text.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
