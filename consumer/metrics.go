package consumer

import (
	"context"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// metrics are what a worker counts.
type metrics struct {
	batch        prometheus.Histogram
	create       prometheus.Histogram
	events       prometheus.Counter
	rejections   *prometheus.CounterVec
	redeliveries prometheus.Counter
	retries      *prometheus.CounterVec
	trimmed      prometheus.Counter
}

// newMetrics makes the metrics, and registers them unless registerer is nil.
func newMetrics(registerer prometheus.Registerer) metrics {
	with := promauto.With(registerer)
	m := metrics{
		batch: with.NewHistogram(prometheus.HistogramOpts{
			Name: "clientele_worker_batch_commands", Help: "Commands in a batch.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		create: with.NewHistogram(prometheus.HistogramOpts{
			Name: "clientele_store_create_duration_seconds", Help: "Time that the database took to store a batch, or to refuse it.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		events: with.NewCounter(prometheus.CounterOpts{
			Name: "clientele_events_published_total", Help: "Events client.created on disk, repetitions included.",
		}),
		rejections: with.NewCounterVec(prometheus.CounterOpts{
			Name: "clientele_rejections_total", Help: "Commands that will never become a client.",
		}, []string{"reason"}),
		redeliveries: with.NewCounter(prometheus.CounterOpts{
			Name: "clientele_worker_redeliveries_total", Help: "Commands that had been delivered before.",
		}),
		retries: with.NewCounterVec(prometheus.CounterOpts{
			Name: "clientele_worker_retries_total", Help: "Attempts that failed and are made again, by what was attempted.",
		}, []string{"attempt"}),
		trimmed: with.NewCounter(prometheus.CounterOpts{
			Name: "clientele_log_trimmed_commands_total", Help: "Commands that were dropped from the log after they were done.",
		}),
	}
	// They are there before they happen, so that the first one is seen as an increase.
	for _, reason := range []domain.Code{domain.CodeInvalid, domain.CodeKeyReused, domain.CodeUndecodable, domain.CodeUnstorable} {
		m.rejections.WithLabelValues(string(reason))
	}
	for _, attempt := range []string{attemptStore, attemptEvents, attemptRejections} {
		m.retries.WithLabelValues(attempt)
	}
	return m
}

// received counts a batch that came from the log.
func (m metrics) received(msgs []jetstream.Msg) {
	m.batch.Observe(float64(len(msgs)))
	for _, msg := range msgs {
		if meta, err := msg.Metadata(); err == nil && meta.NumDelivered > 1 {
			m.redeliveries.Inc()
		}
	}
}

// The metrics of the log, which are asked for when they are looked at.
var (
	logCommands = prometheus.NewDesc("clientele_log_commands", "Messages on the command log, those that are done included.", nil, nil)
	logBytes    = prometheus.NewDesc("clientele_log_bytes", "Size of the command log.", nil, nil)
	logMaxBytes = prometheus.NewDesc("clientele_log_max_bytes", "Size at which the command log refuses more.", nil, nil)
	pending     = prometheus.NewDesc("clientele_worker_pending_commands", "Commands that no worker has been handed yet.", nil, nil)
	ackPending  = prometheus.NewDesc("clientele_worker_ack_pending_commands", "Commands that workers have in hand.", nil, nil)
	oldest      = prometheus.NewDesc("clientele_worker_oldest_command_age_seconds",
		"Age of the oldest command without an outcome; 0 if there is none.", nil, nil)
	lastSequence = prometheus.NewDesc("clientele_stream_last_sequence",
		"Messages that a stream has ever taken. It falls when NATS has lost the last of them.", []string{"stream"}, nil)
	missing = prometheus.NewDesc("clientele_stream_missing_messages",
		"Messages between a stream's first and last that are not there: erased, retried, or lost by NATS.", []string{"stream"}, nil)
)

// collectTimeout bounds a look at the log.
const collectTimeout = 2 * time.Second

// Describe is of prometheus.Collector.
func (w *Worker) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{logCommands, logBytes, logMaxBytes, pending, ackPending, oldest, lastSequence, missing} {
		descriptions <- d
	}
}

// Collect is of prometheus.Collector: it looks at the log and the consumer that all workers share. What cannot be seen is left
// out.
func (w *Worker) Collect(values chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		values <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	var log *jetstream.StreamInfo
	for _, name := range []string{domain.StreamEvents, domain.StreamRejections, domain.StreamCommands} {
		stream, err := w.js.Stream(ctx, name)
		if err != nil {
			return
		}
		log = stream.CachedInfo()
		gauge(lastSequence, float64(log.State.LastSeq), name)
		gauge(missing, float64(log.State.NumDeleted), name)
	}
	gauge(logCommands, float64(log.State.Msgs))
	gauge(logBytes, float64(log.State.Bytes))
	gauge(logMaxBytes, float64(log.Config.MaxBytes))
	consumer, err := lookUp(ctx, w.js)
	if err != nil {
		return
	}
	info := consumer.CachedInfo()
	gauge(pending, float64(info.NumPending))
	gauge(ackPending, float64(info.NumAckPending))
	if info.NumPending == 0 && info.NumAckPending == 0 {
		gauge(oldest, 0)
		return
	}
	msgs, err := jetstreamext.GetBatch(ctx, w.js, domain.StreamCommands, 1, jetstreamext.GetBatchSeq(info.AckFloor.Stream+1))
	if err != nil {
		return
	}
	for msg, err := range msgs {
		if err == nil {
			gauge(oldest, time.Since(msg.Time).Seconds())
		}
		return
	}
}
