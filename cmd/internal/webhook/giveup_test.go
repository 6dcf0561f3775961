package webhook_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"clientele/cmd/internal/webhook"
)

func TestHopeless(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	refused, away := error(&webhook.StatusError{Status: http.StatusUnprocessableEntity}), error(&webhook.StatusError{Status: http.StatusServiceUnavailable})
	for _, c := range []struct {
		name     string
		err      error
		attempts uint64
		after    time.Duration
		want     bool
	}{
		{"the first attempt", refused, 1, day, false},
		{"refused nine times", refused, 9, day, false},
		{"refused ten times", refused, 10, day, true},
		{"refused for ever", refused, 1000, 0, false},
		{"unavailable ten times", away, 10, day, false},
		{"no connection for almost a day", errors.New("connection refused"), 295, day, false},
		{"unavailable for a day", away, 297, day, true},
		{"unavailable for a second", away, 2, time.Second, true},
		{"an unauthorised forwarder", &webhook.StatusError{Status: http.StatusUnauthorized}, 10, day, false},
	} {
		if got := webhook.Hopeless(c.err, c.attempts, c.after); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestPauseAfter(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[uint64]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1 << 40: 5 * time.Minute,
	} {
		if got := webhook.PauseAfter(attempts); got != want {
			t.Errorf("after %d attempts: %s, want %s", attempts, got, want)
		}
	}
}
