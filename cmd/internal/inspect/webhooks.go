package inspect

import (
	"cmp"
	"context"
	"errors"

	"clientele/domain"
	"clientele/publisher/endpoint"
	"clientele/publisher/streams"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go/jetstream"
)

// webhooks adds the endpoints, by name, and the events that they have not accepted.
func (l *Looker) webhooks(ctx context.Context, s *Status) {
	s.Webhooks = []Webhook{}
	all, err := endpoint.List(ctx, l.js)
	for _, e := range all {
		w, failed := WebhookOf(ctx, l.js, e)
		err = cmp.Or(err, failed)
		s.Webhooks = append(s.Webhooks, w)
	}
	givenUp, failed := l.givenUp(ctx)
	s.GivenUp = givenUp
	if err = cmp.Or(err, failed); err != nil {
		s.WebhooksError = l.failure(ctx, err)
	}
}

// WebhookOf returns the state of an endpoint, with that of its consumer. Without an error, it is known whether its consumer is missing.
func WebhookOf(ctx context.Context, js jetstream.JetStream, e endpoint.Endpoint) (Webhook, error) {
	w := Webhook{
		Name: e.Name, Host: e.Host(), State: e.State(),
		LastSuccess: e.Health.LastSuccess, FailingSince: e.Health.FailingSince, LastError: e.Health.LastError,
	}
	consumer, err := subscription.Open(ctx, js, e.Name)
	if _, missing := errors.AsType[*subscription.MissingError](err); missing {
		w.Lost = true
		return w, nil
	}
	if err == nil {
		info := consumer.CachedInfo()
		w.Waiting = info.NumPending + uint64(info.NumAckPending)
	}
	return w, err
}

// givenUp returns how many events the receivers of webhooks have not accepted. Their stream has one message for each, and one for
// the position of each subscriber.
func (l *Looker) givenUp(ctx context.Context) (uint64, error) {
	stream, err := streams.Open(ctx, l.js, domain.StreamSubscriptions)
	if err != nil {
		return 0, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(domain.SubjectPosition+"*"))
	if err != nil {
		return 0, err
	}
	return info.State.Msgs - min(info.State.Msgs, uint64(len(info.State.Subjects))), nil
}
