package endpoint

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher/leader"
	"clientele/publisher/streams"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// The keys of an endpoint are one of these and its name.
const (
	keySettings   = "endpoint."
	keyHealth     = "health."
	keyDeliveries = "deliveries."
)

// Bucket is the key-value bucket of endpoints.
type Bucket struct {
	js     jetstream.JetStream
	sealer sealer
}

// Open opens the bucket, or returns a *streams.MissingError.
func Open(ctx context.Context, js jetstream.JetStream) (*Bucket, error) {
	if _, err := streams.Open(ctx, js, domain.StreamWebhooks); err != nil {
		return nil, err
	}
	log, err := streams.Open(ctx, js, domain.StreamCommands)
	if err != nil {
		return nil, err
	}
	s, err := newSealer(streams.EncryptionSecret(log.CachedInfo().Config))
	return &Bucket{js, s}, err
}

// MissingError means that there is no endpoint with this name.
type MissingError struct{ Name string }

func (e *MissingError) Error() string { return "webhook " + e.Name + " does not exist" }

// ConflictError means that another program has changed the endpoint since it was read.
type ConflictError struct {
	Name string

	unfinished bool // the server has not applied the other change yet, which may be an earlier attempt of the same one
}

func (e *ConflictError) Error() string {
	return "webhook " + e.Name + " was added or changed at the same time: nothing was changed"
}

// UnknownError means that the server did not respond, so that settings of the endpoint may be stored or not. Its code is domain.CodeUnknown.
type UnknownError struct {
	Name string
	Err  error
}

func newUnknownError(name string, err error) error {
	return &UnknownError{name, &domain.Error{Code: domain.CodeUnknown, Err: err}}
}

func (e *UnknownError) Error() string {
	return "it is unknown whether webhook " + e.Name + " was changed: " + e.Err.Error()
}
func (e *UnknownError) Unwrap() error { return e.Err }

// Get returns an endpoint, or a *MissingError.
func (b *Bucket) Get(ctx context.Context, name string) (Endpoint, error) {
	all, err := b.List(ctx)
	if err != nil {
		return Endpoint{}, err
	}
	i := slices.IndexFunc(all, func(e Endpoint) bool { return e.Name == name })
	if i < 0 {
		return Endpoint{}, &MissingError{name}
	}
	return all[i], nil
}

// List returns the endpoints by name.
func (b *Bucket) List(ctx context.Context) ([]Endpoint, error) { return List(ctx, b.js) }

// List returns the endpoints by name. It needs no secret.
func List(ctx context.Context, js jetstream.JetStream) (all []Endpoint, err error) {
	values, err := last(ctx, js, keySettings+"*", keyHealth+"*")
	if err != nil {
		return nil, fmt.Errorf("read the webhooks: %w", err)
	}
	for key, value := range values {
		name, ok := strings.CutPrefix(key, keySettings)
		if !ok {
			continue
		}
		e := Endpoint{Name: name, revision: value.Sequence}
		_ = json.Unmarshal(value.Data, &e.Settings) // without a URL, it is disabled
		if health := values[keyHealth+name]; health != nil {
			e.healthRevision = health.Sequence
			_ = json.Unmarshal(health.Data, &e.Health)
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Endpoint) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// readTimeout bounds one read of the bucket.
const readTimeout = 5 * time.Second

// last returns the last value of each of the keys, by key. A response from which a value is missing is an error.
func last(ctx context.Context, js jetstream.JetStream, keys ...string) (map[string]*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for i := range keys {
		keys[i] = streams.WebhookKeys + keys[i]
	}
	values := map[string]*jetstream.RawStreamMsg{}
	msgs, err := jetstreamext.GetLastMsgsFor(ctx, js, domain.StreamWebhooks, keys)
	if err != nil {
		return nil, err
	}
	announced := -1
	for msg, err := range msgs {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		values[strings.TrimPrefix(msg.Subject, streams.WebhookKeys)] = msg
		if pending, err := strconv.Atoi(msg.Header.Get("Nats-Num-Pending")); announced < 0 && err == nil {
			announced = pending + 1
		}
	}
	if len(values) != announced {
		return nil, errors.New("the response is incomplete")
	}
	return values, nil
}

// Add adds an endpoint with this signing key. It returns a *ConflictError if it exists, or an *UnknownError.
func (b *Bucket) Add(ctx context.Context, name string, s Settings, key []byte) error {
	_, err := b.Get(ctx, name)
	if _, missing := errors.AsType[*MissingError](err); !missing {
		return cmp.Or(err, error(&ConflictError{Name: name}))
	}
	for _, prefix := range []string{keyHealth, keyDeliveries} { // a process may have written them after Remove
		if err := b.remove(ctx, prefix+name); err != nil {
			return err
		}
	}
	s.Secret, s.CreatedAt = b.sealer.seal(name, key), time.Now().UTC()
	s.ActiveSince = s.CreatedAt
	return b.store(ctx, name, s, 0)
}

// Set stores the settings of an endpoint that was read before. It returns a *ConflictError if they were changed since, or an *UnknownError.
func (b *Bucket) Set(ctx context.Context, e Endpoint) error {
	return b.store(ctx, e.Name, e.Settings, e.revision)
}

// Resume makes a paused or disabled endpoint active.
func (b *Bucket) Resume(ctx context.Context, e Endpoint) error {
	e.Paused, e.ActiveSince = false, time.Now().UTC()
	if err := b.Set(ctx, e); err != nil {
		return err
	}
	return b.remove(ctx, keyHealth+e.Name)
}

// Remove removes an endpoint, its health and its deliveries. Its consumer stays.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	for _, prefix := range []string{keySettings, keyHealth, keyDeliveries} {
		if err := b.remove(ctx, prefix+name); err != nil {
			return err
		}
	}
	return nil
}

// SetHealth stores the health of an endpoint that was read before, or returns a *ConflictError if another process has.
func (b *Bucket) SetHealth(ctx context.Context, e Endpoint, h Health) error {
	body, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode the health of webhook %s: %w", e.Name, err)
	}
	return b.put(ctx, keyHealth, e.Name, body, e.healthRevision)
}

// These bound the attempts to learn whether settings are stored.
const (
	storeAttempts = 3
	storePause    = time.Second
)

// store stores settings in place of those with this revision, 0 for none. If the response is lost, it stores them again, also after the
// end of the context: because of the revision only one of the writes is done, and the response to a later one tells that.
func (b *Bucket) store(ctx context.Context, name string, s Settings, revision uint64) error {
	body, err := json.Marshal(s)
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return fmt.Errorf("store webhook %s: %w", name, err)
	}
	err = b.put(ctx, keySettings, name, body, revision)
	if isAnswer(err) || notSent(err) {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	for range storeAttempts - 1 {
		<-time.After(storePause)
		err = b.put(ctx, keySettings, name, body, revision)
		conflict, ok := errors.AsType[*ConflictError](err)
		if ok && !conflict.unfinished {
			return b.compare(ctx, name, body)
		}
		if !ok && isAnswer(err) {
			return err
		}
	}
	if _, ok := errors.AsType[*ConflictError](err); ok {
		err = errors.New("the server has not completed the change")
	}
	return newUnknownError(name, err)
}

// compare returns nil if the settings of an endpoint are these, otherwise a *ConflictError.
func (b *Bucket) compare(ctx context.Context, name string, body []byte) error {
	stream, err := streams.Open(ctx, b.js, domain.StreamWebhooks)
	if err != nil {
		return newUnknownError(name, err)
	}
	stored, err := leader.Last(ctx, b.js, stream, streams.WebhookKeys+keySettings+name)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound || err == nil && !bytes.Equal(stored.Data, body):
		return &ConflictError{Name: name}
	case err != nil:
		return newUnknownError(name, err)
	}
	return nil
}

// isAnswer reports whether the result of put is the response of the server.
func isAnswer(err error) bool {
	_, refused := errors.AsType[*jetstream.APIError](err)
	_, conflict := errors.AsType[*ConflictError](err)
	return err == nil || refused || conflict
}

// notSent reports whether put sent nothing, or no server has received it.
func notSent(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// put stores a value in place of the one with this revision, 0 for none, or returns a *ConflictError.
func (b *Bucket) put(ctx context.Context, prefix, name string, body []byte, revision uint64) error {
	_, err := b.js.PublishMsg(ctx, &nats.Msg{
		Subject: streams.WebhookKeys + prefix + name, Data: body, Header: nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupSubject}},
	}, jetstream.WithExpectLastSequencePerSubject(revision))
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		// A replicated stream responds so while another change of the subject is in progress.
		unfinished := api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
		if unfinished || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			return &ConflictError{name, unfinished}
		}
	}
	if err != nil {
		return fmt.Errorf("store %s%s: %w", prefix, name, err)
	}
	return nil
}

func (b *Bucket) remove(ctx context.Context, key string) error {
	stream, err := streams.Open(ctx, b.js, domain.StreamWebhooks)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(streams.WebhookKeys+key))
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", key, err)
	}
	return nil
}
