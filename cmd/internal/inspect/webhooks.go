package inspect

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"clientele/publisher/endpoint"
	"clientele/publisher/subscription"
)

// Webhook is the state of an endpoint. Subscribers has its consumer, under the same name.
type Webhook struct {
	Name string `json:"name"`
	// Host is that of the URL. The rest of the URL may be secret.
	Host  string         `json:"host"`
	State endpoint.State `json:"state"`
	// LastSuccess is at most a minute before the last success. FailingSince is the time of the first failure after that.
	LastSuccess  time.Time `json:"lastSuccess,omitzero"`
	FailingSince time.Time `json:"failingSince,omitzero"`
	LastError    string    `json:"lastError,omitzero"`
	// Waiting are the events that were not accepted yet.
	Waiting uint64 `json:"waiting"`
	// Lost means that it has no consumer.
	Lost bool `json:"lost,omitzero"`
}

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

// longFailure is how long an endpoint may fail before that is a problem.
const longFailure = 10 * time.Minute

func judgeWebhooks(s *Status) (found []Finding) {
	for _, w := range s.Webhooks {
		name := "webhook " + w.Name
		failing := s.At.Sub(w.FailingSince).Round(time.Second)
		switch {
		case w.State == endpoint.Disabled:
			found = append(found, Finding{
				name, Fail, fmt.Sprintf("it is disabled, and %d events wait: %s", w.Waiting, w.LastError),
				"Correct the receiver, and run clientele webhooks resume " + w.Name, SeeWebhookDisabled,
			})
		case w.Lost:
			found = append(found, Finding{name, Fail, "its consumer is missing", "Run clientele webhooks resume " + w.Name, SeeWebhooks})
		case w.State == endpoint.Active && !w.FailingSince.IsZero() && failing > longFailure:
			found = append(found, Finding{
				name, Warn, fmt.Sprintf("it has failed for %s: %s", failing, w.LastError),
				"Correct the receiver. clientele webhooks deliveries " + w.Name + " --failed shows its responses", SeeWebhookFailing,
			})
		}
	}
	return found
}
