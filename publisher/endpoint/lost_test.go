package endpoint_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/endpoint"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// lossy loses the next requests to store a message, or the responses to them.
type lossy struct {
	jetstream.JetStream

	requests, responses int

	// slow has the servers of a replicated stream not complete the next change. It is completed after they have refused as many others, as
	// nats-server refuses a change of a subject while another one is in progress.
	slow    int
	pending func() error
}

func (l *lossy) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if l.pending != nil && l.slow > 0 {
		l.slow--
		return nil, &jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeStreamWrongLastSequenceConstant}
	}
	if l.slow > 0 {
		l.pending = func() error {
			_, err := l.JetStream.PublishMsg(context.WithoutCancel(ctx), msg, opts...)
			return err
		}
		return nil, context.DeadlineExceeded
	}
	if l.pending != nil {
		if err := l.pending(); err != nil {
			return nil, err
		}
		l.pending = nil
	}
	if l.requests > 0 {
		l.requests--
		return nil, context.DeadlineExceeded
	}
	ack, err := l.JetStream.PublishMsg(ctx, msg, opts...)
	if l.responses > 0 {
		l.responses--
		return nil, context.DeadlineExceeded
	}
	return ack, err
}

// A request to store settings is lost, or the response to it. The result says all the same which secret signs.
func TestLostResponses(t *testing.T) {
	t.Parallel()
	js, direct := open(t)
	for name, lost := range map[string]struct{ requests, responses int }{
		"request": {1, 0}, "response": {0, 1}, "request-and-response": {1, 1}, "two-responses": {0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			between := lossy{JetStream: js}
			b, err := endpoint.Open(t.Context(), &between)
			if err != nil {
				t.Fatal(err)
			}
			lose := func() { between.requests, between.responses = lost.requests, lost.responses }
			check := func(want ...[]byte) endpoint.Endpoint {
				t.Helper()
				e, err := direct.Get(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				if keys, err := direct.Keys(e, time.Now()); err != nil || !slices.EqualFunc(keys, want, bytes.Equal) {
					t.Errorf("%q (%v), want %q", keys, err, want)
				}
				return e
			}
			first, second := []byte("0123456789abcdef-1"), []byte("0123456789abcdef-2")
			lose()
			if err := b.Add(t.Context(), name, endpoint.Settings{URL: "https://crm.example.com"}, first); err != nil {
				t.Error(err)
			}
			e := check(first)
			lose()
			if err := b.Rotate(t.Context(), e, second, time.Hour); err != nil {
				t.Error(err)
			}
			check(second, first)
			lose()
			if _, conflict := errors.AsType[*endpoint.ConflictError](b.Rotate(t.Context(), e, first, time.Hour)); !conflict {
				t.Error("a change of another operator is overwritten")
			}
			check(second, first)
		})
	}
}

// If NATS does not respond at all, the error says that the outcome is unknown.
func TestAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	js, direct := open(t)
	between := lossy{JetStream: js}
	b, err := endpoint.Open(t.Context(), &between)
	if err != nil {
		t.Fatal(err)
	}
	between.requests, between.responses = 1, 100
	err = b.Add(t.Context(), "crm", endpoint.Settings{URL: "https://crm.example.com"}, []byte("0123456789abcdef"))
	if _, unknown := errors.AsType[*endpoint.UnknownError](err); !unknown || domain.CodeOf(err) != domain.CodeUnknown || crm(t, direct).URL == "" {
		t.Errorf("%v", err)
	}
	// An operator who has interrupted the command has changed nothing.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	between.responses = 0
	if err := b.Rotate(ctx, crm(t, direct), []byte("0123456789abcdef-2"), time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("after an interruption: %v", err)
	}
	if keys, err := direct.Keys(crm(t, direct), time.Now()); err != nil || len(keys) != 1 {
		t.Errorf("%q, %v", keys, err)
	}
}

// A change is in progress when its response is lost: the servers refuse a second attempt, but have not stored the first one yet. Nobody is
// told that nothing was changed.
func TestAChangeInProgress(t *testing.T) {
	t.Parallel()
	js, direct := open(t)
	between := lossy{JetStream: js}
	b, err := endpoint.Open(t.Context(), &between)
	if err != nil {
		t.Fatal(err)
	}
	first, second, third := []byte("0123456789abcdef-1"), []byte("0123456789abcdef-2"), []byte("0123456789abcdef-3")
	between.slow = 1
	if err := b.Add(t.Context(), "crm", endpoint.Settings{URL: "https://crm.example.com"}, first); err != nil {
		t.Errorf("added before the last attempt: %v", err)
	}
	e := crm(t, direct)
	between.slow = 3
	_, unknown := errors.AsType[*endpoint.UnknownError](b.Rotate(t.Context(), e, second, time.Hour))
	if keys, err := direct.Keys(crm(t, direct), time.Now()); err != nil || !unknown || len(keys) != 1 {
		t.Errorf("not changed after the last attempt: unknown %v; %q (%v)", unknown, keys, err)
	}
	between.slow, between.pending = 1, func() error { return nil } // the change of another operator is in progress
	if _, conflict := errors.AsType[*endpoint.ConflictError](b.Rotate(t.Context(), e, third, time.Hour)); !conflict {
		t.Error("a conflict with another operator is not reported")
	}
}
