package publisher_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clientele/publisher"
)

func TestCallersAnsweredTogetherSharePublishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := publisher.NewPool()
		var sizes []int
		var running, calling sync.WaitGroup
		running.Go(func() {
			pool.Run(func(n int) {
				sizes = append(sizes, n)
				<-time.After(2 * time.Millisecond)
			})
		})
		for caller := range 16 {
			calling.Go(func() {
				for range 10 { // each takes a time of its own between an answer and the next request
					<-time.After(time.Duration(caller) * 100 * time.Microsecond)
					if err := pool.Do(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		calling.Wait()
		pool.Close()
		running.Wait()
		if slices.Min(sizes[1:10]) < 15 { // the first caller is alone once
			t.Errorf("10 requests of each of 16 callers were published in batches of %d", sizes)
		}
	})
}

func TestTheWaitForOthersIsLimited(t *testing.T) {
	t.Parallel()
	const publish = 20 * time.Millisecond
	for _, c := range []struct {
		batch int
		want  time.Duration
	}{{3, 0}, {4, 4 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			pool := publisher.NewPool()
			var running, calling sync.WaitGroup
			running.Go(func() { pool.Run(func(int) { <-time.After(publish) }) })
			for range 1 + c.batch { // one alone, then a batch
				calling.Go(func() {
					if err := pool.Do(); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			calling.Wait()
			began := time.Now()
			if err := pool.Do(); err != nil {
				t.Error(err)
			}
			if waited := time.Since(began) - publish; waited != c.want {
				t.Errorf("a request after a batch of %d waited for %s before it was published, want %s", c.batch, waited, c.want)
			}
			pool.Close()
			running.Wait()
		})
	}
}
