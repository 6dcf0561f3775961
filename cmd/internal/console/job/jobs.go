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

// run does the work until it is finished, fails in a way that affects all items, or the context ends.
func (j *Job) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j.mu.Lock()
	j.stop, j.progress.Waiting = cancel, false
	stopped := j.stopped
	j.mu.Unlock()
	var err error
	if stopped { // while it waited: nothing is done
		cancel()
	} else {
		err = j.Run(ctx, j)
	}
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

// Stop has the job stop after the items in progress.
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
	j.queue <- started // it has room for all that have not ended
	return started, true
}

// Find returns the job with this id, or nil.
func (j *Jobs) Find(id string) *Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.byID[id]
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
				case next := <-j.queue:
					next.run(ctx)
				}
			}
		})
	}
}
