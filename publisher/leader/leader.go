// Package leader reads and removes messages at the leader of their stream. Any replica answers a direct get, and can be behind the
// leader. Of the roles, only operators have the right to ask the leader.
package leader

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"clientele/domain"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// timeout bounds the wait for one response.
const timeout = 5 * time.Second

// selection selects a message. Its fields are those of JetStream's API.
type selection struct {
	Seq     uint64 `json:"seq,omitzero"`
	LastFor string `json:"last_by_subj,omitzero"`
	NextFor string `json:"next_by_subj,omitzero"`
}

// Last returns the last message with this subject, or an error with domain.CodeNotFound. A request to the leader cannot contain a subject
// that is not UTF-8, which only a foreign program publishes: Last asks any replica for it. The server reads a subject such as
// client.create.* as a pattern: a message with another subject is not found.
func Last(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, subject string) (msg *jetstream.RawStreamMsg, err error) {
	if utf8.ValidString(subject) {
		msg, err = read(ctx, js, stream, selection{LastFor: subject})
	} else {
		msg, err = stream.GetLastMsgForSubject(ctx, subject)
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && msg.Subject != subject {
		return nil, domain.Errorf(domain.CodeNotFound, "no message on subject %q", subject)
	}
	return msg, err
}

// Get returns the message with this sequence, or an error with domain.CodeNotFound.
func Get(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, sequence uint64) (*jetstream.RawStreamMsg, error) {
	return read(ctx, js, stream, selection{Seq: sequence})
}

// Next returns the first message with this subject, which may have wildcards, from a sequence on that is at least 1, or an error with
// domain.CodeNotFound.
func Next(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, subject string, from uint64) (*jetstream.RawStreamMsg, error) {
	return read(ctx, js, stream, selection{Seq: from, NextFor: subject})
}

// read requests a message. nats.go has no such read for a stream that allows direct gets.
func read(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, request selection) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	name := stream.CachedInfo().Config.Name
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	var response struct {
		Message struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
		Error *jetstream.APIError `json:"error"`
	}
	answer, err := js.Conn().RequestWithContext(ctx, jetstream.DefaultAPIPrefix+"STREAM.MSG.GET."+name, body)
	if err == nil {
		err = json.Unmarshal(answer.Data, &response)
	}
	msg := response.Message
	var header nats.Header
	switch {
	case err != nil:
	case response.Error != nil && response.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, domain.Errorf(domain.CodeNotFound, "no such message on stream %s", name)
	case response.Error != nil:
		err = response.Error
	case len(msg.Header) > 0:
		header, err = nats.DecodeHeadersMsg(msg.Header)
	}
	if err != nil {
		return nil, fmt.Errorf("get a message of stream %s: %w", name, err)
	}
	return &jetstream.RawStreamMsg{Subject: msg.Subject, Sequence: msg.Sequence, Header: header, Data: msg.Data, Time: msg.Time}, nil
}

// Remove deletes one message and overwrites it on disk. A message that is already deleted is no error.
func Remove(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, sequence uint64) error {
	err := stream.SecureDeleteMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		// The server's error does not tell whether the message exists.
		if _, lookUp := Get(ctx, js, stream, sequence); domain.CodeOf(lookUp) == domain.CodeNotFound {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("delete message %d of stream %s: %w", sequence, stream.CachedInfo().Config.Name, err)
	}
	return nil
}
