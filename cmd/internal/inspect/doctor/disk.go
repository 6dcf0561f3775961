package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"clientele/cmd/internal/datadir"
	"clientele/cmd/internal/inspect"
	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// The writes of a measurement, and how long it may take.
const (
	diskWrites  = 100
	diskTimeout = 3 * time.Second
)

// The 99th percentile of a synced write above which a disk is slow, and above which callers notice.
const (
	slowDisk     = 50 * time.Millisecond
	unusableDisk = time.Second
)

// leastFree is the share of a disk that should be free, as in deploy/prometheus.
const leastFree = 0.2

// disk measures how long a synced write takes: in the data directory of serve, or else through NATS.
func disk(ctx context.Context, v *visit) []inspect.Finding {
	measure, where := v.writeNATS, "through NATS"
	if v.ServeDir != "" {
		measure, where = v.writeFile, "in "+v.ServeDir
	}
	times, err := repeat(ctx, measure)
	if err != nil || len(times) == 0 {
		return []inspect.Finding{warn(fmt.Sprintf("a synced write cannot be measured: %v", v.Explain(err)), "Run doctor as the user of serve, or with the operator's rights", seeStatus)}
	}
	found := []inspect.Finding{judgeDisk(times, where)}
	if v.ServeDir == "" {
		return found
	}
	if free, size, err := datadir.Disk(v.ServeDir); err == nil && float64(free) < leastFree*float64(size) {
		found = append(found, warn(fmt.Sprintf("%.0f %% of the disk is free", 100*float64(free)/float64(size)), "Make room, or limit the streams", inspect.SeeSizes))
	}
	return found
}

// judgeDisk judges the times of synced writes, of which there is at least one.
func judgeDisk(times []time.Duration, where string) inspect.Finding {
	slices.Sort(times)
	p99 := times[(len(times)*99-1)/100]
	text := fmt.Sprintf("%d synced writes %s: median %s, p99 %s", len(times), where, times[(len(times)-1)/2].Round(10*time.Microsecond), p99.Round(10*time.Microsecond))
	const do = "Use a disk that syncs faster, such as an SSD with power-loss protection, and leave it to NATS"
	switch {
	case p99 > unusableDisk:
		return fail(text, do, inspect.SeeSizes)
	case p99 > slowDisk:
		return warn(text, do, inspect.SeeSizes)
	}
	return ok("%s", text)
}

// repeat measures writes until there are enough or the time is over. write is called with the number of the write, and with -1 to
// remove what it has written.
func repeat(ctx context.Context, write func(ctx context.Context, n int) error) (times []time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, diskTimeout)
	defer cancel()
	for n := 0; n < diskWrites && err == nil && ctx.Err() == nil; n++ {
		began := time.Now()
		if err = write(ctx, n); err == nil {
			times = append(times, time.Since(began))
		}
	}
	removed := write(context.WithoutCancel(ctx), -1)
	if len(times) > 0 && errors.Is(err, context.DeadlineExceeded) {
		err = nil // fewer writes tell enough
	}
	return times, errors.Join(err, removed)
}

// block is what one write writes: the page of a file system.
var block = make([]byte, 4<<10)

// writeFile writes and syncs a block of a file in the data directory.
func (v *visit) writeFile(_ context.Context, n int) error {
	if n < 0 {
		if v.file == nil {
			return nil
		}
		return errors.Join(v.file.Close(), os.Remove(v.file.Name()))
	}
	if v.file == nil {
		var err error
		if v.file, err = os.CreateTemp(v.ServeDir, "doctor.*"); err != nil {
			return err
		}
	}
	if _, err := v.file.Write(block); err != nil {
		return err
	}
	return v.file.Sync()
}

// writeNATS publishes the position of a subscriber that does not exist, in place of the one before. At the end it removes the position.
func (v *visit) writeNATS(ctx context.Context, n int) error {
	ctx, stop := v.Refusals.During(ctx)
	defer stop()
	subject := domain.SubjectPosition + probe
	if n >= 0 {
		_, err := v.js.Publish(ctx, subject, []byte(`{"accepted":0}`))
		return refusedOr(ctx, err)
	}
	ctx, cancel := context.WithTimeout(ctx, diskTimeout)
	defer cancel()
	stream, err := v.js.Stream(ctx, domain.StreamSubscriptions)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subject))
	}
	return refusedOr(ctx, err)
}
