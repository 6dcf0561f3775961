package audit

import (
	"context"
	"errors"
	"sync"
	"time"

	"clientele/domain"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

const (
	// collectInterval is how long a Collector adds up records before it writes them.
	collectInterval = time.Second
	// maxDistinct is how many records it keeps apart. Further ones are added up without their actor and address.
	maxDistinct   = 100
	writeTimeout  = 10 * time.Second
	reportFailure = time.Minute // the minimum interval of log lines about failures
)

// Collector is a Recorder that also records what does not wait for its record: refused requests, which anybody can cause in any
// number, and changes of the keys file.
type Collector struct {
	*Recorder

	log     zerolog.Logger
	failure rate.Sometimes
	writing sync.Mutex // held by the write in progress

	mu     sync.Mutex
	counts map[domain.AuditRecord]int64
	timer  *time.Timer // nil unless a write is due
	closed bool
}

// NewCollector returns a collector that writes with the recorder. Its log receives failures, which it tries again.
func NewCollector(r *Recorder, log zerolog.Logger) *Collector {
	return &Collector{Recorder: r, log: log, failure: rate.Sometimes{Interval: reportFailure}, counts: map[domain.AuditRecord]int64{}}
}

// Collect records what has happened within the next second, and tries again until the stream has it. Equal records become one with their count.
func (c *Collector) Collect(record domain.AuditRecord) { c.add(record, 1) }

func (c *Collector) add(record domain.AuditRecord, n int64) {
	record.Count = 0
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.counts[record]; !known && len(c.counts) >= maxDistinct {
		record.Actor, record.Address = domain.AuditActor{Kind: record.Actor.Kind}, ""
	}
	c.counts[record] += n
	if c.timer == nil && !c.closed {
		c.timer = time.AfterFunc(collectInterval, c.write)
	}
}

// write writes what was collected. If the stream does not have it, write keeps it for the next time.
func (c *Collector) write() {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	counts := c.counts
	c.counts, c.timer = map[domain.AuditRecord]int64{}, nil
	c.mu.Unlock()
	if len(counts) == 0 {
		return
	}
	records := make([]domain.AuditRecord, 0, len(counts))
	for record, n := range counts {
		record.Count = n
		records = append(records, record)
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	if err := c.Record(ctx, records...); err != nil {
		c.failure.Do(func() { c.log.Error().Err(err).Msg("cannot record refused requests, trying again") })
		if _, onStream := errors.AsType[*FileError](err); onStream {
			return
		}
		for record, n := range counts {
			c.add(record, n)
		}
	}
}

// Close writes what was collected. Do not call Collect afterwards.
func (c *Collector) Close() {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.write()
	c.Recorder.writer.Wait()
}
