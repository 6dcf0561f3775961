package job_test

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"clientele/cmd/internal/console/job"
	"clientele/publisher"
)

// jobs are jobs that run, each with one rejection, which is settled when release is closed.
type jobs struct {
	*job.Jobs

	release chan struct{}
	stop    func()
	began   atomic.Int32 // jobs that did not end while they waited
}

func newJobs() *jobs {
	ctx, cancel := context.WithCancel(context.Background())
	j := &jobs{Jobs: job.NewJobs(), release: make(chan struct{})}
	var running sync.WaitGroup
	running.Go(func() { j.Run(ctx) })
	j.stop = func() { cancel(); running.Wait() }
	return j
}

func (j *jobs) start() (*job.Job, bool) { return j.Start(j.config()) }

func (j *jobs) config() job.Config {
	work := job.Rejections{
		Each: func(context.Context) iter.Seq2[publisher.StoredRejection, error] {
			return func(yield func(publisher.StoredRejection, error) bool) { yield(publisher.StoredRejection{}, nil) }
		},
		Settle: func(ctx context.Context, _ publisher.StoredRejection) error {
			select {
			case <-j.release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
	return job.Config{Page: "/rejections", Total: 1, Run: func(ctx context.Context, one *job.Job) error {
		j.began.Add(1)
		return work.Run(ctx, one)
	}}
}

// Four jobs run at once, and others wait. A job that has not ended is not forgotten: it could not be stopped.
func TestJobsAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := newJobs()
		defer j.stop()
		var all []*job.Job
		for {
			one, ok := j.start()
			if !ok {
				break
			}
			all = append(all, one)
		}
		synctest.Wait()
		for i, one := range all {
			if p := one.Progress(); p.Waiting != (i >= 4) || !p.EndedAt.IsZero() || j.Find(one.ID) != one {
				t.Errorf("job %d of %d: %+v", i, len(all), p)
			}
		}
		if len(all) != 50 {
			t.Errorf("there is room for %d jobs", len(all))
		}

		all[1].Stop()
		synctest.Wait()
		if p := all[1].Progress(); !p.Stopped || p.Done != 0 || all[4].Progress().Waiting {
			t.Errorf("a job that is stopped: %+v; the next one: %+v", p, all[4].Progress())
		}
		last, ok := j.start()
		if !ok || j.Find(all[1].ID) != nil || j.Find(all[0].ID) == nil || j.Of("/rejections")[0] != last {
			t.Error("the job that has ended does not make room")
		}
		all[49].Stop() // while it waits
		if p := all[49].Progress(); !p.Stopped || p.Waiting || all[49].Running() {
			t.Errorf("a job that is stopped while it waits: %+v", p)
		}

		close(j.release)
		synctest.Wait()
		for i, one := range append(all, last) {
			stopped := i == 1 || i == 49
			if p := one.Progress(); p.EndedAt.IsZero() || p.Stopped != stopped || (p.Done == 1) == stopped {
				t.Errorf("job %d: %+v", i, p)
			}
		}
		if n := int(j.began.Load()); n != len(all) {
			t.Errorf("%d of %d jobs began, and one was stopped while it waited", n, len(all)+1)
		}
	})
}

// Jobs that are stopped while they wait make room at once, however many they are. Those that are started next run.
func TestJobsThatAreStoppedMakeRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := newJobs()
		defer j.stop()
		var all []*job.Job
		for range 4 {
			one, _ := j.start()
			all = append(all, one)
		}
		synctest.Wait()
		for range 3 {
			for len(all) < 50 {
				one, ok := j.start()
				if !ok {
					t.Fatalf("no room for a job after %d", len(all))
				}
				all = append(all, one)
			}
			for _, one := range all[4:] {
				one.Stop()
			}
			all = all[:4]
		}
		last, ok := j.start()
		if !ok {
			t.Fatal("no room for the last job")
		}
		close(j.release)
		synctest.Wait()
		for i, one := range append(all, last) {
			if p := one.Progress(); p.EndedAt.IsZero() || p.Stopped || p.Done != 1 {
				t.Errorf("job %d: %+v", i, p)
			}
		}
		if n := j.began.Load(); n != 5 {
			t.Errorf("%d jobs began", n)
		}
	})
}

// A job that is stopped finishes its items in progress, and says so. It is not called stopped if they were the last.
func TestAJobThatIsStoppedFinishesItsItems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := newJobs()
		defer j.stop()
		one, _ := j.Start(job.Config{Total: 1, Run: func(_ context.Context, one *job.Job) error {
			<-j.release
			one.CountDone()
			return nil
		}})
		synctest.Wait()
		one.Stop()
		if p := one.Progress(); !p.Stopping || !one.Running() {
			t.Errorf("with an item in progress: %+v", p)
		}
		close(j.release)
		synctest.Wait()
		if p := one.Progress(); p.Stopping || p.Stopped || p.EndedAt.IsZero() || p.Done != 1 {
			t.Errorf("after its last item: %+v", p)
		}
	})
}

// Of the requests that have read the same work, one starts a job. It gets the others as well, even if it has ended meanwhile.
func TestStartAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := newJobs()
		defer j.stop()
		j.Start(job.Config{Page: "/other", Run: func(context.Context, *job.Job) error { return nil }})
		all := make([]*job.Job, 100)
		var requests sync.WaitGroup
		for i := range all {
			requests.Go(func() { all[i], _ = j.StartAfter(nil, j.config()) })
		}
		requests.Wait()
		first := j.Newest("/rejections")
		for _, one := range all {
			if one == nil || one != first {
				t.Fatalf("jobs %v and %v", one, first)
			}
		}
		close(j.release)
		synctest.Wait()
		if late, ok := j.StartAfter(nil, j.config()); late != first || !ok || first.Running() {
			t.Errorf("a request that has read the work of a job that has ended: %+v", late)
		}
		next, ok := j.StartAfter(first, j.config())
		if synctest.Wait(); next == first || !ok || next.Progress().Done != 1 || j.began.Load() != 2 {
			t.Errorf("a request that has read new work: %+v, %d jobs began", next, j.began.Load())
		}
	})
}
