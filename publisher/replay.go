package publisher

import (
	"context"
	"errors"
	"fmt"

	"clientele/domain"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Replay publishes the events once more: to their stream, or to whoever listens on another subject now, if one is given. They
// have their bytes and ids. What the stream remembers of ids does not stop it.
func (a *Admin) Replay(ctx context.Context, events []domain.Event, subject string) error {
	again := func(i int) *nats.Msg {
		msg := eventMessage(events[i])
		msg.Header.Del(jetstream.MsgIDHeader)
		return msg
	}
	if subject != "" {
		return replayTo(ctx, a.js.Conn(), subject, len(events), again)
	}
	to, err := newStream(a.js.Conn(), *a.events.CachedInfo())
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

// replayTo publishes messages to a subject that no stream keeps, and returns when the server has processed them. It returns a
// nats.ErrPermissionViolation if the server refused one.
func replayTo(ctx context.Context, nc *nats.Conn, subject string, n int, build func(i int) *nats.Msg) error {
	for i := range n {
		msg := build(i)
		msg.Subject = subject
		if err := nc.PublishMsg(msg); err != nil {
			return fmt.Errorf("publish to %s: %w", subject, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout) // a flush requires a deadline
	defer cancel()
	err := nc.FlushWithContext(ctx)
	if refused := nc.LastError(); err == nil && errors.Is(refused, nats.ErrPermissionViolation) {
		err = refused // a refusal arrives before the end of the flush
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", subject, err)
	}
	return nil
}
