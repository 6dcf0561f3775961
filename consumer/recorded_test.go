package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clientele/consumer"
	"clientele/domain"

	"github.com/rs/zerolog"
)

// records are those of a database, of which some are old.
type records struct {
	consumer.RejectionRecorder

	began time.Time

	mu    sync.Mutex
	old   int
	fails bool
	looks []time.Duration // since began
}

func (r *records) set(old int, fails bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.old, r.fails = old, fails
}

// seen returns how many old records are left, and when the worker looked.
func (r *records) seen() (int, []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.old, slices.Clone(r.looks)
}

// TrimRejections takes a second.
func (r *records) TrimRejections(ctx context.Context, before time.Time, n int) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks = append(r.looks, time.Since(r.began))
	<-time.After(time.Second)
	if r.fails || time.Since(before) < domain.RejectionRetention {
		return 0, errors.New("not removed")
	}
	n = min(n, r.old)
	r.old -= n
	return n, ctx.Err()
}

// Old records are removed at once, but in transactions with pauses. The next look is a minute later, also after a failure.
func TestOldRecordsAreRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &records{old: 2_500, began: time.Now()}
		var log strings.Builder
		ended := make(chan struct{})
		go func() { consumer.TrimRecords(ctx, r, zerolog.New(&log)); close(ended) }()
		<-time.After(30 * time.Second)
		if left, looks := r.seen(); left != 0 || !slices.Equal(looks, []time.Duration{0, 2 * time.Second, 4 * time.Second}) {
			t.Errorf("%d records are left after looks at %v", left, looks)
		}
		r.set(1, true)
		<-time.After(time.Minute)
		r.set(1, false)
		<-time.After(time.Minute)
		cancel()
		<-ended
		if left, looks := r.seen(); left != 0 || len(looks) != 5 || strings.Count(log.String(), "cannot remove old records") != 1 {
			t.Errorf("%d records are left after looks at %v: %s", left, looks, log.String())
		}
	})
}
