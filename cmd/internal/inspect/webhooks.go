package inspect

import (
	"context"
	"net/url"

	"clientele/publisher/endpoint"
	"clientele/publisher/subscription"
)

// webhooks returns the endpoints, by name.
func (l *Looker) webhooks(ctx context.Context) []Webhook {
	found := []Webhook{}
	all, err := endpoint.List(ctx, l.js)
	if err != nil {
		return found // their stream is a problem already
	}
	for _, e := range all {
		w := Webhook{
			Name: e.Name, State: e.State(), LastSuccess: e.Health.LastSuccess, FailingSince: e.Health.FailingSince, LastError: e.Health.LastError,
		}
		if to, err := url.Parse(e.URL); err == nil {
			w.Host = to.Host
		}
		consumer, err := subscription.Open(ctx, l.js, e.Name)
		w.Lost = err != nil
		if err == nil {
			info := consumer.CachedInfo()
			w.Waiting = info.NumPending + uint64(info.NumAckPending)
		}
		found = append(found, w)
	}
	return found
}
