package ingress

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// maxWait is the most seconds that a caller may wait for an outcome.
const maxWait = 30

// preference is what a caller prefers (RFC 7240).
type preference struct{ wait time.Duration }

// prefer reads the preferences of a request, and says in the answer which one is applied. What is not understood is ignored,
// as the RFC has it; of several waits the first counts.
func prefer(w http.ResponseWriter, r *http.Request) (p preference) {
	w.Header().Add("Vary", "Prefer")
	async := false
	for item := range strings.SplitSeq(strings.Join(r.Header.Values("Prefer"), ","), ",") {
		name, value, _ := strings.Cut(item, "=")
		value, _, _ = strings.Cut(value, ";")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		name, _, _ = strings.Cut(name, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "respond-async":
			async = true
		case "wait":
			seconds, err := strconv.ParseUint(value, 10, 16)
			if err == nil && p.wait == 0 {
				p.wait = time.Duration(min(seconds, maxWait)) * time.Second
			}
		}
	}
	switch {
	case p.wait > 0:
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(p.wait/time.Second)))
	case async:
		w.Header().Set("Preference-Applied", "respond-async")
	}
	return p
}

// watch waits for the end of an operation.
type watch struct {
	ended    <-chan struct{}
	over     <-chan time.Time
	stopping <-chan struct{}
	stop     func()
}

// watch begins to watch, if the caller prefers to wait.
func (in *api) watch(p preference, id uuid.UUID) (watch, error) {
	if p.wait == 0 {
		return watch{stop: func() {}}, nil
	}
	ended, stop, err := in.log.Watch(id)
	return watch{ended: ended, over: time.After(p.wait), stopping: in.stopping, stop: stop}, err
}

// next returns true when there may be something new to see: the operation was told of, or the time is over, which is the last
// chance. It returns false at once when that was before, when nobody waits any more, and when nobody wanted to.
func (w *watch) next(r *http.Request) bool {
	if w.ended == nil {
		return false
	}
	letGo(r)
	select {
	case <-w.ended:
		return true
	case <-w.over:
		w.ended = nil
		return true
	case <-w.stopping:
		w.ended = nil
		return true
	case <-r.Context().Done():
		return false
	}
}
