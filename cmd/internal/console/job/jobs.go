// Package job retries and drops many rejections while an operator watches the progress.
package job

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"clientele/domain"
	"clientele/publisher"

	"golang.org/x/sync/errgroup"
)

const (
	// concurrency is how many rejections of a job are settled at once: they share writes to the audit trail.
	concurrency = 8
	// maxNotes is how many skipped rejections a job names.
	maxNotes = 20
	// maxRunning is how many jobs run at once. Others wait.
	maxRunning = 4
	// maxJobs is how many jobs are remembered. A restart of the process forgets them all.
	maxJobs = 50
)

// Config says what a job does.
type Config struct {
	Verb  Verb
	Total int
	// Each yields the rejections, and Settle settles one of them.
	Each   func(context.Context) iter.Seq2[publisher.StoredRejection, error]
	Settle func(context.Context, publisher.StoredRejection) error
}

// Job settles the rejections of a selection.
type Job struct {
	Config

	ID        string
	StartedAt time.Time

	mu       sync.Mutex
	progress Progress
	stop     context.CancelFunc // nil before it runs
	stopped  bool               // by an operator
}

// Progress is how far a job is.
type Progress struct {
	Waiting       bool // for other jobs
	Done, Skipped int
	Notes         []Note // about the first that were skipped
	Failure       string
	EndedAt       time.Time // zero while it runs
	Stopped       bool
}

// Note says why a rejection was skipped.
type Note struct{ ID, Reason string }

// Settled is how many rejections are done with.
func (p Progress) Settled() int { return p.Done + p.Skipped }

// Progress returns how far the job is.
func (j *Job) Progress() Progress {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.progress
}

// run settles the rejections until all are settled, one fails in a way that affects all of them, or the context ends. Rejections in
// progress are finished.
func (j *Job) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j.mu.Lock()
	j.stop, j.progress.Waiting = cancel, false
	stopped := j.stopped
	j.mu.Unlock()
	if stopped {
		cancel()
	}
	err := j.settleAll(ctx)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress.EndedAt, j.progress.Stopped = time.Now().UTC(), ctx.Err() != nil
	if err != nil && ctx.Err() == nil {
		j.progress.Failure = failureText(err)
	}
}

func failureText(err error) string {
	switch {
	case domain.CodeOf(err) == domain.CodeLogFull:
		return "The command log is full: let the workers catch up, or raise --log-max-bytes or the storage limit of NATS. Then repeat this."
	case errors.Is(err, context.DeadlineExceeded):
		return "NATS has not answered in time, as while it elects a leader. Repeat this for the others: " + err.Error()
	}
	return err.Error()
}

func (j *Job) settleAll(ctx context.Context) error {
	workers, ctx := errgroup.WithContext(ctx)
	work := make(chan publisher.StoredRejection)
	for range concurrency {
		workers.Go(func() error {
			for r := range work {
				if err := j.count(r, j.Settle(ctx, r)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	workers.Go(func() error {
		defer close(work)
		for r, err := range j.Each(ctx) {
			if err != nil {
				return err
			}
			select {
			case work <- r:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return workers.Wait()
}

// count counts a rejection. It returns the error unless that is about this rejection only.
func (j *Job) count(r publisher.StoredRejection, err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if reason, ok := errors.AsType[*publisher.SkippedError](err); ok {
		j.progress.Skipped++
		if len(j.progress.Notes) < maxNotes {
			j.progress.Notes = append(j.progress.Notes, Note{r.ID, reason.Error()})
		}
		return nil
	}
	if err == nil {
		j.progress.Done++
	}
	return err
}

// Stop has the job stop after the rejections in progress.
func (j *Job) Stop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stopped = true
	if j.stop != nil {
		j.stop()
	}
}

// Jobs are the jobs of a process.
type Jobs struct {
	queue chan *Job

	mu    sync.Mutex
	byID  map[string]*Job
	order []string
}

// NewJobs returns no jobs. They run while Run runs.
func NewJobs() *Jobs { return &Jobs{queue: make(chan *Job, maxJobs), byID: map[string]*Job{}} }

// Start starts a job, or has it wait for others. It reports whether there was room for it. The oldest job that has ended makes room.
func (j *Jobs) Start(cfg Config) (*Job, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.order) == maxJobs {
		ended := slices.IndexFunc(j.order, func(id string) bool { return !j.byID[id].Progress().EndedAt.IsZero() })
		if ended < 0 {
			return nil, false
		}
		delete(j.byID, j.order[ended])
		j.order = slices.Delete(j.order, ended, ended+1)
	}
	started := &Job{Config: cfg, ID: rand.Text(), StartedAt: time.Now().UTC(), progress: Progress{Waiting: true}}
	j.byID[started.ID] = started
	j.order = append(j.order, started.ID)
	j.queue <- started // it has room for all that have not ended
	return started, true
}

// Find returns the job with this id, or nil.
func (j *Jobs) Find(id string) *Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.byID[id]
}

// All returns the jobs, the newest first.
func (j *Jobs) All() []*Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]*Job, 0, len(j.order))
	for _, id := range slices.Backward(j.order) {
		all = append(all, j.byID[id])
	}
	return all
}

// Run runs the jobs until the context ends. It waits for them.
func (j *Jobs) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for range maxRunning {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case next := <-j.queue:
					next.run(ctx)
				}
			}
		})
	}
}
