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

// preference is how a caller prefers to be answered (RFC 7240).
type preference struct {
	wait  time.Duration // 0 for not at all
	async bool
}

// parsePrefer returns the preferences of a request. As the RFC demands, it ignores what it does not understand. Of several
// waits the first counts.
func parsePrefer(header http.Header) (p preference) {
	for item := range strings.SplitSeq(strings.Join(header.Values("Prefer"), ","), ",") {
		name, value, _ := strings.Cut(item, "=")
		value, _, _ = strings.Cut(value, ";")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		name, _, _ = strings.Cut(name, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "respond-async":
			p.async = true
		case "wait":
			seconds, err := strconv.ParseUint(value, 10, 16)
			if err == nil && p.wait == 0 {
				p.wait = time.Duration(min(seconds, maxWait)) * time.Second
			}
		}
	}
	return p
}

// setHeaders adds the headers of a response that depends on the preference.
func (p preference) setHeaders(header http.Header) {
	header.Add("Vary", "Prefer")
	switch {
	case p.wait > 0:
		header.Set("Preference-Applied", "wait="+strconv.Itoa(int(p.wait/time.Second)))
	case p.async:
		header.Set("Preference-Applied", "respond-async")
	}
}

// watch waits for the end of an operation.
type watch struct {
	ended       <-chan struct{}
	over        <-chan time.Time
	stopping    <-chan struct{}
	releaseSlot func()
	stop        func()
}

// watch begins to watch, if the caller prefers to wait.
func (in *api) watch(p preference, id uuid.UUID, releaseSlot func()) (watch, error) {
	if p.wait == 0 {
		return watch{stop: func() {}}, nil
	}
	ended, stop, err := in.log.Watch(id)
	return watch{ended: ended, over: time.After(p.wait), stopping: in.stopping, releaseSlot: releaseSlot, stop: stop}, err
}

// next returns true when there may be something new to see: the operation was told of, or the time is over, which is the last
// chance. It returns false at once when that was before, when nobody waits any more, and when nobody wanted to.
func (w *watch) next(r *http.Request) bool {
	if w.ended == nil {
		return false
	}
	w.releaseSlot()
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
