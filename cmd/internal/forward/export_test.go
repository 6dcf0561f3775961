package forward

import (
	"context"
	"time"

	"clientele/publisher/endpoint"
)

// NextHealth returns the health after what a process has seen.
func NextHealth(e endpoint.Endpoint, lastSuccess, failingSince time.Time, broken bool, now time.Time) (endpoint.Health, bool) {
	return nextHealth(e, observation{lastSuccess, failingSince, "refused", broken}, now)
}

// Process is a process that delivers to one endpoint.
type Process struct{ observer observer }

// Fail notes a failure, after which the breaker is open.
func (p *Process) Fail(at time.Time) { p.observer.note(at, "refused", true) }

// NextHealth returns the health after what the process has seen.
func (p *Process) NextHealth(e endpoint.Endpoint, now time.Time) (endpoint.Health, bool) {
	return p.observer.nextHealth(e, now)
}

// IsHopeless reports whether an event is given up, if a process has seen its last success at a time, and has the breaker open or not.
func IsHopeless(giveUpAfter time.Duration, err error, attempt uint64, lastSuccess time.Time, broken bool, now time.Time) bool {
	e := endpoint.Endpoint{Settings: endpoint.Settings{GiveUpAfter: endpoint.Duration(giveUpAfter)}}
	return isHopeless(e, err, attempt, observation{lastSuccess: lastSuccess, broken: broken}, now)
}

// RecordsPerWrite is how many deliveries of an endpoint are recorded each second.
const RecordsPerWrite = recordsPerWrite

// WriteRecords writes deliveries by endpoint, and returns those that wait for the next write.
func WriteRecords(ctx context.Context, bucket *endpoint.Bucket, waiting map[string][]endpoint.Delivery) map[string][]endpoint.Delivery {
	d := deliverer{bucket: bucket, cfg: Config{Explain: func(err error) error { return err }}}
	d.records.waiting = map[string][]endpoint.Delivery{}
	d.writeRecords(ctx, waiting)
	return d.records.take()
}

// Kept returns those of the deliveries that are recorded.
func Kept(deliveries []endpoint.Delivery) []endpoint.Delivery {
	r := records{waiting: map[string][]endpoint.Delivery{}}
	for _, d := range deliveries {
		r.add("crm", d)
	}
	return r.take()["crm"]
}
