package importer

import (
	"fmt"
	"sync"
	"time"
)

// noticeInterval is the shortest time between two notices about an outage.
const noticeInterval = 30 * time.Second

// outage tells what to print while the API accepts no rows: a notice about the first failure, and one every noticeInterval.
type outage struct {
	mu    sync.Mutex
	since time.Time // of the first failure after the last row that was settled, or zero
	said  time.Time // when the last notice was due, or zero
}

// failed returns the notice about an attempt that settled no row, or "" if none is due.
func (o *outage) failed(err error, advice string) (notice string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if o.since.IsZero() {
		o.since = now
	}
	if !o.said.IsZero() && now.Sub(o.said) < noticeInterval {
		return ""
	}
	o.said = now
	elapsed := ""
	if d := now.Sub(o.since).Round(time.Second); d > 0 {
		elapsed = fmt.Sprintf(" for %s", d)
	}
	return fmt.Sprintf("trying again%s: %v: %s", elapsed, err, advice)
}

// ended says that rows were settled.
func (o *outage) ended() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.since = time.Time{}
}
