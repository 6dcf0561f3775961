package publisher

import (
	"context"
	"fmt"

	"clientele/domain"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Replay publishes the events once more: to their stream, or to whoever listens on another subject now, if one is given. They
// have their bytes and ids. What the stream remembers of ids does not stop it.
func (s *Streams) Replay(ctx context.Context, events []domain.Event, subject string) error {
	again := func(i int) *nats.Msg {
		msg := eventMessage(events[i])
		msg.Header.Del(jetstream.MsgIDHeader)
		return msg
	}
	if subject != "" {
		for i := range events {
			msg := again(i)
			msg.Subject = subject
			if err := s.js.Conn().PublishMsg(msg); err != nil {
				return fmt.Errorf("publish to %s: %w", subject, err)
			}
		}
		if err := s.js.Conn().FlushWithContext(ctx); err != nil {
			return fmt.Errorf("publish to %s: %w", subject, err)
		}
		return nil
	}
	to, err := newStream(s.js.Conn(), *s.events.CachedInfo())
	if err != nil {
		return err
	}
	for _, err := range to.publish(len(events), again) { //nolint:contextcheck // it has a timeout of its own
		if err != nil {
			return fmt.Errorf("publish %d events: %w", len(events), err)
		}
	}
	return nil
}
