package consumer

import (
	"context"
	"sync"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// The metrics of the streams and the consumer.
var (
	logCommands = prometheus.NewDesc("clientele_log_commands", "Messages on the command log, including completed commands.", nil, nil)
	logBytes    = prometheus.NewDesc("clientele_log_bytes", "Size of the command log.", nil, nil)
	logMaxBytes = prometheus.NewDesc("clientele_log_max_bytes", "Size at which the command log refuses new commands.", nil, nil)
	pending     = prometheus.NewDesc("clientele_worker_pending_commands", "Commands not yet delivered to a worker.", nil, nil)
	ackPending  = prometheus.NewDesc("clientele_worker_ack_pending_commands", "Commands delivered to a worker and not yet acknowledged.", nil, nil)
	paused      = prometheus.NewDesc("clientele_worker_paused", "1 while an operator has paused the workers, or 0.", nil, nil)
	oldest      = prometheus.NewDesc("clientele_worker_oldest_command_age_seconds",
		"Age of the oldest command without an outcome; 0 if there is none. An ingress reports for how long it has observed it.", nil, nil)
	lastSequence = prometheus.NewDesc("clientele_stream_last_sequence",
		"Messages that a stream has ever stored. It decreases when NATS loses the newest messages.", []string{"stream"}, nil)
	streamBytes    = prometheus.NewDesc("clientele_stream_bytes", "Size of a stream.", []string{"stream"}, nil)
	streamMaxBytes = prometheus.NewDesc("clientele_stream_max_bytes",
		"Size at which the command log refuses commands, or another stream drops its oldest messages; absent without a limit.",
		[]string{"stream"}, nil)
	replicasUnavailable = prometheus.NewDesc("clientele_stream_replicas_unavailable",
		"Replicas of a stream that are offline or behind its leader.", []string{"stream"}, nil)
	removals = prometheus.NewDesc("clientele_audit_removals",
		"Records in the audit trail of retried and dropped rejections and erased clients, which removed messages from streams.", nil, nil)
	missing = prometheus.NewDesc("clientele_stream_missing_messages",
		"Messages missing between a stream's first and last: erased, retried, or lost by NATS.", []string{"stream"}, nil)
)

// collectTimeout bounds Collect.
const collectTimeout = 2 * time.Second

// collector collects the metrics of the streams, and of the consumer that all workers share.
type collector struct {
	js      jetstream.JetStream
	streams []string // the last one is the command log
	// age returns the age of the oldest command without an outcome, or 0.
	age func(context.Context, *jetstream.ConsumerInfo) (time.Duration, error)
}

// newCollector returns the collector of a worker, which may read all streams.
func newCollector(js jetstream.JetStream) collector {
	return collector{js, []string{domain.StreamEvents, domain.StreamRejections, domain.StreamAudit, domain.StreamCommands}, oldestAge(js)}
}

// Backlog is a prometheus.Collector of the command log for processes that are no workers: when no worker lives, they report how many
// commands wait, and for how long. They may not read commands, so the age of the oldest one is a lower bound: the time since the
// first scrape that found it.
type Backlog struct {
	collector

	mu    sync.Mutex
	floor uint64    // of the last scrape
	since time.Time // of the first scrape that found this floor with commands above it; zero if there was none
}

// NewBacklog returns the collector of the log that the connection leads to.
func NewBacklog(nc *nats.Conn) (*Backlog, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	b := &Backlog{}
	b.collector = collector{js, []string{domain.StreamRejections, domain.StreamAudit, domain.StreamCommands}, b.observedAge}
	return b, nil
}

// observedAge returns the time since the first call that found this ack floor with commands above it.
func (b *Backlog) observedAge(_ context.Context, info *jetstream.ConsumerInfo) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if idle(info) {
		b.since = time.Time{}
		return 0, nil
	}
	if info.AckFloor.Stream != b.floor || b.since.IsZero() {
		b.floor, b.since = info.AckFloor.Stream, time.Now()
	}
	return time.Since(b.since), nil
}

// idle reports whether every command has its outcome.
func idle(info *jetstream.ConsumerInfo) bool { return info.NumPending == 0 && info.NumAckPending == 0 }

// oldestAge returns a function that reads the oldest command without an outcome from the log.
func oldestAge(js jetstream.JetStream) func(context.Context, *jetstream.ConsumerInfo) (time.Duration, error) {
	return func(ctx context.Context, info *jetstream.ConsumerInfo) (time.Duration, error) {
		if idle(info) {
			return 0, nil
		}
		msgs, err := jetstreamext.GetBatch(ctx, js, domain.StreamCommands, 1, jetstreamext.GetBatchSeq(info.AckFloor.Stream+1))
		if err != nil {
			return 0, err
		}
		for msg, err := range msgs {
			if err != nil {
				return 0, err
			}
			return time.Since(msg.Time), nil
		}
		return 0, jetstreamext.ErrNoMessages
	}
}

// Describe implements prometheus.Collector.
func (c collector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		logCommands, logBytes, logMaxBytes, pending, ackPending, paused, oldest, lastSequence, streamBytes, streamMaxBytes, missing,
		replicasUnavailable, removals,
	} {
		descriptions <- d
	}
}

// removalsIn counts the records of actions that removed messages from other streams.
func removalsIn(ctx context.Context, trail jetstream.Stream) (n uint64, err error) {
	info, err := trail.Info(ctx, jetstream.WithSubjectFilter(domain.SubjectAudit+"*"))
	if err != nil {
		return 0, err
	}
	for _, action := range []domain.AuditAction{domain.AuditRejectionRetry, domain.AuditRejectionDrop, domain.AuditErase} {
		n += info.State.Subjects[domain.SubjectAudit+string(action)]
	}
	return n, nil
}

// unavailable returns how many followers do not have all messages of the leader. A server without others has no cluster.
func unavailable(cluster *jetstream.ClusterInfo) (n int) {
	if cluster == nil {
		return 0
	}
	for _, f := range cluster.Replicas {
		if f.Offline || !f.Current {
			n++
		}
	}
	return n
}

// Collect implements prometheus.Collector. It looks up the streams and the consumer, and omits metrics that it cannot read.
func (c collector) Collect(values chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		values <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	var log *jetstream.StreamInfo
	for _, name := range c.streams {
		stream, err := c.js.Stream(ctx, name)
		if name == domain.StreamAudit && err != nil {
			continue // an installation of an earlier version has neither the stream nor the right to read its size
		}
		if err != nil {
			return
		}
		log = stream.CachedInfo()
		if name == domain.StreamAudit {
			if n, err := removalsIn(ctx, stream); err == nil {
				gauge(removals, float64(n))
			}
		}
		gauge(lastSequence, float64(log.State.LastSeq), name)
		gauge(missing, float64(log.State.NumDeleted), name)
		gauge(streamBytes, float64(log.State.Bytes), name)
		if log.Config.MaxBytes > 0 {
			gauge(streamMaxBytes, float64(log.Config.MaxBytes), name)
		}
		gauge(replicasUnavailable, float64(unavailable(log.Cluster)), name)
	}
	gauge(logCommands, float64(log.State.Msgs))
	gauge(logBytes, float64(log.State.Bytes))
	gauge(logMaxBytes, float64(log.Config.MaxBytes))
	consumer, err := lookUp(ctx, c.js)
	if err != nil {
		return
	}
	info := consumer.CachedInfo()
	gauge(pending, float64(info.NumPending))
	gauge(ackPending, float64(info.NumAckPending))
	if info.Paused {
		gauge(paused, 1)
	} else {
		gauge(paused, 0)
	}
	if age, err := c.age(ctx, info); err == nil {
		gauge(oldest, age.Seconds())
	}
}
