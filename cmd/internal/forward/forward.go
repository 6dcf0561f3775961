package forward

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"clientele/cmd/internal/webhook"
	"clientele/domain"
	"clientele/publisher/endpoint"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// syncInterval is how often the bucket is read. Changes of endpoints apply within it.
const syncInterval = time.Second

// Forwarder delivers to all endpoints.
type Forwarder struct {
	*deliverer

	// running are the endpoints that this process delivers to, by name. Only Run uses them.
	running map[string]*runner

	syncMu   sync.Mutex
	syncedAs error // of the last sync
}

// Open opens the bucket, or returns a *streams.MissingError. It delivers nothing before Run.
func Open(ctx context.Context, cfg Config) (*Forwarder, error) {
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, err
	}
	bucket, err := endpoint.Open(ctx, js)
	if err != nil {
		return nil, err
	}
	posting, interrupt := context.WithCancel(context.WithoutCancel(ctx))
	return &Forwarder{
		deliverer: &deliverer{
			posting: posting, interrupt: interrupt,
			cfg: cfg, js: js, bucket: bucket, poster: webhook.NewPoster(cfg.UserAgent), metrics: newMetrics(cfg.Metrics),
			records: records{waiting: map[string][]endpoint.Delivery{}},
		},
		running: map[string]*runner{},
	}, nil
}

// Ready returns nil if the server answers, has the bucket, and the last read of it has succeeded.
func (f *Forwarder) Ready(ctx context.Context) error {
	err := streams.Exist(ctx, f.js, domain.StreamWebhooks)
	f.syncMu.Lock()
	defer f.syncMu.Unlock()
	return cmp.Or(err, f.syncedAs)
}

// Run delivers until the context ends, and completes the attempts in progress.
func (f *Forwarder) Run(ctx context.Context) {
	requests, err := f.answerRequests() //nolint:contextcheck // a delivery outlives the signal to stop
	if err != nil {
		f.cfg.Log.Warn().Err(f.cfg.Explain(err)).Msg("cannot deliver what operators ask for with clientele webhooks test and redeliver")
	}
	ticker := time.NewTicker(syncInterval)
	defer ticker.Stop()
	for {
		f.sync(ctx)
		select {
		case <-ctx.Done():
			f.stop(requests) //nolint:contextcheck // the context has ended
			return
		case <-ticker.C:
		}
	}
}

// stop waits for the attempts in progress, interrupts those that take too long, and writes the last records.
func (f *Forwarder) stop(requests *nats.Subscription) {
	defer f.interrupt()
	defer time.AfterFunc(stopPatience, f.interrupt).Stop()
	if requests != nil {
		_ = requests.Unsubscribe()
	}
	for _, r := range f.running {
		r.stop()
	}
	f.tasks.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	f.writeRecords(ctx, f.records.take())
}

// sync brings the runners to the state of the bucket, and reports what they have observed.
func (f *Forwarder) sync(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	waiting := f.records.take() // before the list: an endpoint with records that it lacks was removed
	all, err := f.bucket.List(ctx)
	f.noteSync(err)
	if err != nil {
		for name, deliveries := range waiting {
			f.records.add(name, deliveries...)
		}
		return
	}
	known := make(map[string]endpoint.Endpoint, len(all))
	for _, e := range all {
		known[e.Name] = e
	}
	f.run(ctx, known)
	f.metrics.show(all)
	maps.DeleteFunc(waiting, func(name string, _ []endpoint.Delivery) bool {
		_, exists := known[name]
		return !exists
	})
	f.writeRecords(ctx, waiting)
}

// run stops the runners of endpoints that were removed, changed, paused or disabled, and starts those of active ones.
func (f *Forwarder) run(ctx context.Context, known map[string]endpoint.Endpoint) {
	for name, r := range f.running {
		if e, exists := known[name]; !exists || e.State() != endpoint.Active || e.Revision() != r.endpoint.Revision() || r.ended() {
			r.stop()
			delete(f.running, name)
		}
	}
	for _, e := range known {
		if e.State() == endpoint.Active {
			f.keepRunning(ctx, e)
		}
	}
}

// noteSync keeps the error of a sync, and logs one that is new.
func (f *Forwarder) noteSync(err error) {
	f.syncMu.Lock()
	before := f.syncedAs
	f.syncedAs = err
	f.syncMu.Unlock()
	if err != nil && (before == nil || before.Error() != err.Error()) && !errors.Is(err, context.Canceled) {
		f.cfg.Log.Warn().Err(f.cfg.Explain(err)).Msg("cannot read the webhooks; deliveries continue with the settings that were read before")
	}
}

// keepRunning starts an endpoint, or reports the health of one that runs.
func (f *Forwarder) keepRunning(ctx context.Context, e endpoint.Endpoint) {
	r := f.running[e.Name]
	if r == nil {
		f.running[e.Name] = start(ctx, f.deliverer, e)
		return
	}
	health, changed := r.observer.nextHealth(e, time.Now().UTC())
	if !changed {
		return
	}
	err := f.bucket.SetHealth(ctx, e, health)
	_, conflict := errors.AsType[*endpoint.ConflictError](err) // another process reports as well
	switch {
	case err != nil && !conflict:
		f.cfg.Log.Warn().Err(f.cfg.Explain(err)).Str("webhook", e.Name).Msg("cannot record the health of a webhook")
	case err == nil && !health.DisabledAt.IsZero():
		f.cfg.Log.Error().Str("webhook", e.Name).Time("failing_since", health.FailingSince).Str("error", health.LastError).
			Msg("disabled a webhook, because every delivery has failed: correct the receiver and run clientele webhooks resume")
	}
}
