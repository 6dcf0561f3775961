package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	// maxPause is the longest pause between two attempts.
	maxPause = 5 * time.Minute
	// refusedAttempts are made for an event that the receiver refuses for its content: about nine minutes, so that a receiver
	// that is just being repaired loses nothing, and a few thousand such events do not keep others back for long.
	refusedAttempts = 10
)

// refusals are the responses that say that the request itself is wrong and will be wrong again (RFC 9110, section 15.5).
var refusals = []int{
	http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
}

// StatusError is a response that is not 2xx.
type StatusError struct{ Status int }

func (e *StatusError) Error() string {
	return fmt.Sprintf("the receiver responded with %d %s", e.Status, http.StatusText(e.Status))
}

// pauseAfter returns the pause after this many attempts: a second, then twice as long each time, at most maxPause.
func pauseAfter(attempts uint64) time.Duration {
	return min(time.Second<<min(max(attempts, 1)-1, 10), maxPause)
}

// hopeless reports whether an event is given up whose attempt with this number has failed with err: its pauses add up to giveUpAfter,
// or the receiver refuses it. With a giveUpAfter of 0, no event is. The number survives restarts, for the server counts deliveries.
func hopeless(err error, attempts uint64, giveUpAfter time.Duration) bool {
	if giveUpAfter == 0 {
		return false
	}
	refused, ok := errors.AsType[*StatusError](err)
	if ok && attempts >= refusedAttempts && slices.Contains(refusals, refused.Status) {
		return true
	}
	var waited time.Duration
	for i := uint64(1); i < attempts && waited < giveUpAfter; i++ {
		waited += pauseAfter(i)
	}
	return waited >= giveUpAfter
}
