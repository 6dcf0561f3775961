package publisher

import (
	"context"
	"errors"
	"fmt"

	"clientele/domain"
	"clientele/publisher/streams"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// lookup reads single commands and rejections by their id.
type lookup struct {
	commands   jetstream.Stream
	rejections jetstream.Stream
	// last returns the last message with a subject, or an error with domain.CodeNotFound.
	last func(ctx context.Context, stream jetstream.Stream, subject string) (*jetstream.RawStreamMsg, error)
}

func openLookup(ctx context.Context, js jetstream.JetStream) (l lookup, err error) {
	l.last = last
	if l.commands, err = streams.Open(ctx, js, domain.StreamCommands); err != nil {
		return lookup{}, err
	}
	l.rejections, err = streams.Open(ctx, js, domain.StreamRejections)
	return l, err
}

// Find returns the command with this id, or an error with domain.CodeNotFound if it is not on the log.
func (l lookup) Find(ctx context.Context, id uuid.UUID) (domain.LoggedCommand, error) {
	msg, err := l.last(ctx, l.commands, domain.SubjectCreate+id.String())
	if err != nil {
		return domain.LoggedCommand{}, err
	}
	return logged(msg), nil
}

// logged returns the command in a message of the log.
func logged(msg *jetstream.RawStreamMsg) domain.LoggedCommand {
	header, _ := domain.CommandMessage{Header: msg.Header}.DecodeHeader() // zero if the worker will reject the command
	return domain.LoggedCommand{CommandHeader: header, Sequence: msg.Sequence}
}

// Rejection returns the rejection of the command with this id, or an error with domain.CodeNotFound.
func (l lookup) Rejection(ctx context.Context, id uuid.UUID) (domain.Rejection, error) {
	msg, err := l.last(ctx, l.rejections, domain.SubjectRejected+id.String())
	if err != nil {
		return domain.Rejection{}, err
	}
	return domain.ParseRejection(msg.Data)
}

// last returns the last message with this subject, or an error with domain.CodeNotFound. Any replica answers, and can be behind.
func last(ctx context.Context, stream jetstream.Stream, subject string) (*jetstream.RawStreamMsg, error) {
	msg, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, domain.Errorf(domain.CodeNotFound, "no message on subject %s", subject)
	}
	if err != nil {
		return nil, fmt.Errorf("get last message of %q: %w", subject, err)
	}
	return msg, nil
}
