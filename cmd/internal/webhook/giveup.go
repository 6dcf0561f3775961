package webhook

import (
	"errors"
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

// Refused reports whether an error of Post is about the content of the event, so that others may succeed.
func Refused(err error) bool {
	status, ok := errors.AsType[*StatusError](err)
	return ok && slices.Contains(refusals, status.Status)
}

// PauseAfter returns the pause after this many attempts: a second, then twice as long each time, at most five minutes.
func PauseAfter(attempts uint64) time.Duration {
	return min(time.Second<<min(max(attempts, 1)-1, 10), maxPause)
}

// Waited returns the sum of the pauses before the attempt with this number.
func Waited(attempt uint64) (waited time.Duration) {
	for i := uint64(1); i < attempt; i++ {
		waited += PauseAfter(i)
	}
	return waited
}

// Hopeless reports whether an event is given up whose attempt with this number has failed with err, if the endpoint works: its pauses add
// up to giveUpAfter, or the receiver refuses it. With a giveUpAfter of 0, no event is. The number survives restarts, for the server counts
// deliveries.
func Hopeless(err error, attempt uint64, giveUpAfter time.Duration) bool {
	if giveUpAfter == 0 {
		return false
	}
	return attempt >= refusedAttempts && Refused(err) || Waited(attempt) >= giveUpAfter
}
