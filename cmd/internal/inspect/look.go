package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"clientele/cmd/internal/refusal"
	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// Look returns the state. It has rates and processes from the second look on. An error means that NATS cannot be reached or refuses a
// right; a part that does not answer within 5 s is a problem of the state.
func (l *Looker) Look(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	ctx, stop := l.cfg.Refusals.During(ctx)
	defer stop()
	s := Status{At: time.Now().UTC(), Streams: make([]Stream, len(Streams))}
	var err error
	if s.NATS, err = l.server(ctx); err != nil {
		return s, err
	}
	infos, errs := make([]*jetstream.StreamInfo, len(Streams)), make([]error, len(Streams))
	var parts sync.WaitGroup
	for i, name := range Streams {
		parts.Go(func() { s.Streams[i], infos[i], errs[i] = l.stream(ctx, name) })
	}
	var worker *jetstream.ConsumerInfo
	parts.Go(func() { s.Commands, worker = l.commands(ctx) })
	parts.Go(func() { l.subscribers(ctx, &s) })
	parts.Go(func() { l.webhooks(ctx, &s) })
	parts.Go(func() { s.Database = l.database(ctx) })
	parts.Go(func() { l.live(ctx, &s) })
	parts.Wait()
	l.looked = true
	if refused := context.Cause(ctx); refused != nil && !errors.Is(refused, context.DeadlineExceeded) {
		return s, refused
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return refusal.Of(err) != refusal.None }); i >= 0 {
		return s, errs[i] // the account does not reach the streams
	}
	if l.cfg.Conn.IsClosed() {
		return s, errors.New("the connection to NATS was lost")
	}
	l.complete(&s, infos, worker)
	judge(&s)
	return s, nil
}

// server returns what the server says about itself.
func (l *Looker) server(ctx context.Context) (NATS, error) {
	nc := l.cfg.Conn
	began := time.Now()
	if err := nc.FlushWithContext(ctx); err != nil {
		return NATS{}, fmt.Errorf("NATS does not respond: %w", err)
	}
	return NATS{
		URL: refusal.Redact(nc.ConnectedUrl()), Server: nc.ConnectedServerName(), Version: nc.ConnectedServerVersion(), Cluster: nc.ConnectedClusterName(),
		RoundTripSeconds: time.Since(began).Seconds(),
	}, nil
}

// complete adds what several parts tell together.
func (l *Looker) complete(s *Status, infos []*jetstream.StreamInfo, worker *jetstream.ConsumerInfo) {
	for i, info := range infos {
		switch records := (Records{s.Streams[i].Messages, s.Streams[i].Last}); Streams[i] {
		case domain.StreamRejections:
			s.Rejections = records
		case domain.StreamAudit:
			s.Audit = records
		case domain.StreamCommands:
			if info != nil {
				s.Commands.Accepted, s.Commands.LastAccepted = info.State.LastSeq, s.Streams[i].Last
			}
			if now := newSample(info, worker); now != nil {
				s.Commands.Rates = now.since(l.before)
				s.Commands.NoWorker = l.before != nil && now.idle && l.before.idle && now.deliveries == l.before.deliveries
				l.before = now
			}
		}
	}
}
