// Package job does what takes long, such as to retry many rejections, while an operator watches the progress.
package job

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"clientele/domain"
)

const (
	// maxNotes is how many skipped items a job names.
	maxNotes = 20
	// maxRunning is how many jobs run at once. Others wait.
	maxRunning = 4
	// maxJobs is how many jobs are remembered. A restart of the process forgets them all.
	maxJobs = 50
)

// Config says what a job does.
type Config struct {
	// Verb and Items are those of its title, such as Retry and rejections. Done and Skipped say what was done with an item, or not, such as
	// retried and skipped.
	Verb, Items, Done, Skipped string
	// Page is the path of the page that begins it, and Back the text of the link to that page.
	Page, Back string
	Total      int
	// Run does the work until the context ends, and counts each item. An error affects all items.
	Run func(context.Context, *Job) error
}

// Title returns the heading.
func (c Config) Title() string { return c.Verb + " " + c.Items }

// SkippedTitle returns the heading of the notes.
func (c Config) SkippedTitle() string { return strings.ToUpper(c.Skipped[:1]) + c.Skipped[1:] }

// Job works on the items of a selection.
type Job struct {
	Config

	ID        string
	StartedAt time.Time

	mu       sync.Mutex
	progress Progress
	stop     context.CancelFunc // nil before it runs
}

// Progress is how far a job is.
type Progress struct {
	Waiting       bool // for other jobs
	Stopping      bool // after the items in progress
	Done, Skipped int
	Notes         []Note // about the first that were skipped
	Failure       string
	EndedAt       time.Time // zero while it waits or runs
	Stopped       bool      // before all items were done
}

// Note says why an item was skipped. ID is that of its client, or "".
type Note struct{ ID, Reason string }

// Settled is how many items are done with.
func (p Progress) Settled() int { return p.Done + p.Skipped }

// Progress returns how far the job is.
func (j *Job) Progress() Progress {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.progress
}

// begin returns the work of a job that waits, which then no longer waits, or nil.
func (j *Job) begin(parent context.Context) (work func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.progress.Waiting {
		return nil
	}
	j.progress.Waiting = false
	ctx, cancel := context.WithCancel(parent)
	j.stop = cancel
	return func() {
		defer cancel()
		j.run(ctx)
	}
}

// run does the work until it is finished, fails in a way that affects all items, or the context ends.
func (j *Job) run(ctx context.Context) {
	err := j.Run(ctx, j)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress.EndedAt, j.progress.Stopping, j.progress.Stopped = time.Now().UTC(), false, err != nil && ctx.Err() != nil
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

// CountDone counts an item that is done.
func (j *Job) CountDone() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress.Done++
}

// CountSkipped counts an item that is not done. The others may be.
func (j *Job) CountSkipped(n Note) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress.Skipped++
	if len(j.progress.Notes) < maxNotes {
		j.progress.Notes = append(j.progress.Notes, n)
	}
}

// Running reports whether the job has not ended.
func (j *Job) Running() bool { return j.Progress().EndedAt.IsZero() }

// Stop has the job stop after the items in progress. A job that waits ends at once.
func (j *Job) Stop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.progress.Waiting:
		j.progress.Waiting, j.progress.Stopped, j.progress.EndedAt = false, true, time.Now().UTC()
	case j.progress.EndedAt.IsZero():
		j.progress.Stopping = true
		j.stop()
	}
}

// Jobs are the jobs of a process.
type Jobs struct {
	// waiting has a value after a job was added. Each of the goroutines of Run looks for jobs after it has received one: as many values as
	// goroutines are enough, however many jobs wait or were stopped.
	waiting chan struct{}

	mu    sync.Mutex
	byID  map[string]*Job
	order []string
}

// NewJobs returns no jobs. They run while Run runs.
func NewJobs() *Jobs { return &Jobs{waiting: make(chan struct{}, maxRunning), byID: map[string]*Job{}} }

// Start starts a job, or has it wait for others. It reports whether there was room for it. The oldest job that has ended makes room.
func (j *Jobs) Start(cfg Config) (*Job, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.start(cfg)
}

// StartAfter is Start for a page of which one job runs at a time, and works on what was read after the job last was its newest one, or nil,
// and had ended. If another job was started since, that is returned instead: it may have done the same work.
func (j *Jobs) StartAfter(last *Job, cfg Config) (*Job, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if newest := j.newest(cfg.Page); newest != nil && newest != last {
		return newest, true
	}
	return j.start(cfg)
}

func (j *Jobs) start(cfg Config) (*Job, bool) {
	if len(j.order) == maxJobs {
		ended := slices.IndexFunc(j.order, func(id string) bool { return !j.byID[id].Running() })
		if ended < 0 {
			return nil, false
		}
		delete(j.byID, j.order[ended])
		j.order = slices.Delete(j.order, ended, ended+1)
	}
	started := &Job{Config: cfg, ID: rand.Text(), StartedAt: time.Now().UTC(), progress: Progress{Waiting: true}}
	j.byID[started.ID] = started
	j.order = append(j.order, started.ID)
	select {
	case j.waiting <- struct{}{}:
	default:
	}
	return started, true
}

// Find returns the job with this id, or nil.
func (j *Jobs) Find(id string) *Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.byID[id]
}

// Newest returns the newest job of a page, or nil.
func (j *Jobs) Newest(page string) *Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.newest(page)
}

func (j *Jobs) newest(page string) *Job {
	for _, id := range slices.Backward(j.order) {
		if j.byID[id].Page == page {
			return j.byID[id]
		}
	}
	return nil
}

// Of returns the jobs of a page, the newest first.
func (j *Jobs) Of(page string) (all []*Job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, id := range slices.Backward(j.order) {
		if j.byID[id].Page == page {
			all = append(all, j.byID[id])
		}
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
				case <-j.waiting:
				}
				for work := j.next(ctx); work != nil; work = j.next(ctx) {
					work()
				}
			}
		})
	}
}

// next returns the work of the job that waits for longest, or nil if none waits or the context has ended.
func (j *Jobs) next(ctx context.Context) (work func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := 0; i < len(j.order) && work == nil && ctx.Err() == nil; i++ {
		work = j.byID[j.order[i]].begin(ctx)
	}
	return work
}
