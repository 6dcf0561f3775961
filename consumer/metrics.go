package consumer

import (
	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The attempts of a worker, in logs, metrics and traces.
const (
	attemptStore      = "store clients"
	attemptEvents     = "publish events"
	attemptRejections = "publish rejections"
)

// metrics are what a worker counts.
type metrics struct {
	batch        prometheus.Histogram
	create       prometheus.Histogram
	events       prometheus.Counter
	rejections   *prometheus.CounterVec
	redeliveries prometheus.Counter
	lapsed       prometheus.Counter
	repeated     prometheus.Counter
	newer        prometheus.Counter
	retries      *prometheus.CounterVec
	trimmed      prometheus.Counter
}

// newMetrics returns the metrics and registers them unless registerer is nil.
func newMetrics(registerer prometheus.Registerer) metrics {
	with := promauto.With(registerer)
	m := metrics{
		batch: with.NewHistogram(prometheus.HistogramOpts{
			Name: "clientele_worker_batch_commands", Help: "Commands in a batch.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		create: with.NewHistogram(prometheus.HistogramOpts{
			Name: "clientele_store_create_duration_seconds", Help: "Time that the database needed to store or refuse a batch.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		events: with.NewCounter(prometheus.CounterOpts{
			Name: "clientele_events_published_total", Help: "Published client.created events, including duplicates.",
		}),
		rejections: with.NewCounterVec(prometheus.CounterOpts{
			Name: "clientele_rejections_total", Help: "Rejected commands.",
		}, []string{"reason"}),
		redeliveries: with.NewCounter(prometheus.CounterOpts{
			Name: "clientele_worker_redeliveries_total", Help: "Deliveries of commands that had been delivered before.",
		}),
		repeated: with.NewCounter(prometheus.CounterOpts{
			Name: "clientele_worker_repeated_commands_total",
			Help: "Completed commands that were processed again, because an ingress found that their outcomes are lost.",
		}),
		lapsed: with.NewCounter(prometheus.CounterOpts{
			Name: "clientele_worker_lapsed_commands_total",
			Help: "Commands that may have been delivered to another worker, because this one was stopped or disconnected for longer than the ack wait.",
		}),
		newer: with.NewCounter(prometheus.CounterOpts{
			Name: "clientele_worker_newer_commands_total",
			Help: "Deliveries of commands that this worker left to a newer one, because they were accepted under newer rules.",
		}),
		retries: with.NewCounterVec(prometheus.CounterOpts{
			Name: "clientele_worker_retries_total", Help: "Failed attempts that the worker retries, by kind of attempt.",
		}, []string{"attempt"}),
		trimmed: with.NewCounter(prometheus.CounterOpts{
			Name: "clientele_log_trimmed_commands_total", Help: "Completed commands removed from the log.",
		}),
	}
	// Create the series now, so that Prometheus sees the first rejection or retry as an increase.
	for _, reason := range []domain.Code{domain.CodeInvalid, domain.CodeKeyReused, domain.CodeErased, domain.CodeUndecodable, domain.CodeUnstorable} {
		m.rejections.WithLabelValues(string(reason))
	}
	for _, attempt := range []string{attemptStore, attemptEvents, attemptRejections} {
		m.retries.WithLabelValues(attempt)
	}
	return m
}

// received counts a batch from the log.
func (m metrics) received(msgs []jetstream.Msg) {
	m.batch.Observe(float64(len(msgs)))
	for _, msg := range msgs {
		if meta, err := msg.Metadata(); err == nil && meta.NumDelivered > 1 {
			m.redeliveries.Inc()
		}
	}
}
