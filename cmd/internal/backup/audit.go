package backup

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/reader"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// restoreAudit adds the records that the audit stream lacks, and gives it the settings in the backup, or this number of replicas.
func restoreAudit(ctx context.Context, cfg Config, js jetstream.JetStream, m Manifest, replicas int) error {
	if !slices.ContainsFunc(m.Streams, func(s Stream) bool { return s.Name == domain.StreamAudit }) {
		return nil
	}
	s, err := openCopy(cfg, domain.StreamAudit)
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, domain.StreamAudit)
	if err != nil {
		return err
	}
	settings := stream.CachedInfo().Config
	settings.MaxAge, settings.Replicas = s.config.MaxAge, cmp.Or(replicas, s.config.Replicas)
	if _, err := js.UpdateStream(ctx, settings); err != nil {
		return err
	}
	known, err := recorded(ctx, js)
	if err != nil {
		return err
	}
	return appendRecords(ctx, cfg, s, known)
}

// recorded returns the ids of the records on the audit stream.
func recorded(ctx context.Context, js jetstream.JetStream) (map[string]bool, error) {
	records, err := reader.Open(ctx, js, reader.Config{Stream: domain.StreamAudit, UpToNow: true, HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	defer records.Close()
	known := map[string]bool{}
	for {
		msg, err := records.Next(ctx)
		if errors.Is(err, io.EOF) {
			return known, nil
		}
		if err != nil {
			return nil, err
		}
		known[msg.Headers().Get(jetstream.MsgIDHeader)] = true
	}
}

// appendRecords publishes the copied records that are not known.
func appendRecords(ctx context.Context, cfg Config, s streamCopy, known map[string]bool) error {
	to, err := publisher.OpenPublisher(ctx, cfg.Conn, domain.StreamAudit)
	if err != nil {
		return err
	}
	var msgs []*nats.Msg
	var failed error
	publish := func() { //nolint:contextcheck // a publish has a timeout of its own
		if failed == nil {
			failed = to.Publish(len(msgs), func(i int) *nats.Msg { return msgs[i] })
		}
		msgs = msgs[:0]
	}
	_, err = s.read(ctx, cfg, func(msg message) {
		id := msg.header(jetstream.MsgIDHeader)
		if known[id] {
			return
		}
		msgs = append(msgs, &nats.Msg{Subject: msg.subject, Data: msg.body, Header: nats.Header{
			jetstream.MsgIDHeader: {id}, "Content-Type": {"application/json"},
		}})
		if len(msgs) == 500 {
			publish()
		}
	})
	publish()
	return errors.Join(err, failed)
}
