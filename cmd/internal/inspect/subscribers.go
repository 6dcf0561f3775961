package inspect

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"clientele/domain"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go/jetstream"
)

// subscribers adds the durable consumers of the events, by name.
func (l *Looker) subscribers(ctx context.Context, s *Status) {
	s.Subscribers = []Subscriber{}
	events, err := streams.Open(ctx, l.js, domain.StreamEvents)
	if err != nil {
		s.SubscribersError = l.failure(ctx, err)
		return
	}
	all := events.ListConsumers(ctx)
	for info := range all.Info() {
		if info.Config.Durable != "" {
			s.Subscribers = append(s.Subscribers, subscriberOf(ctx, events, info))
		}
	}
	if err := all.Err(); err != nil {
		s.SubscribersError = l.failure(ctx, err)
	}
	slices.SortFunc(s.Subscribers, func(a, b Subscriber) int { return strings.Compare(a.Name, b.Name) })
}

func subscriberOf(ctx context.Context, events jetstream.Stream, info *jetstream.ConsumerInfo) Subscriber {
	s := Subscriber{Name: info.Name, Waiting: info.NumPending, Unacknowledged: info.NumAckPending, Fetches: info.NumWaiting}
	if info.Delivered.Last != nil {
		s.LastDelivery = info.Delivered.Last.UTC()
	}
	if s.Waiting+uint64(s.Unacknowledged) == 0 {
		return s
	}
	subject := cmp.Or(info.Config.FilterSubject, ">")
	if len(info.Config.FilterSubjects) == 1 {
		subject = info.Config.FilterSubjects[0]
	}
	s.OldestSeconds = ageOf(ctx, events, info.AckFloor.Stream+1, subject).Seconds()
	return s
}
