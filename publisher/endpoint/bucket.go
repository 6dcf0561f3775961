package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"clientele/domain"
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
type ConflictError struct{ Name string }

func (e *ConflictError) Error() string {
	return "webhook " + e.Name + " was added or changed at the same time: nothing was changed"
}

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

// Add adds an endpoint with this signing key, or returns a *ConflictError if it exists.
func (b *Bucket) Add(ctx context.Context, name string, s Settings, key []byte) error {
	s.Secret, s.CreatedAt = b.sealer.seal(name, key), time.Now().UTC()
	s.ActiveSince = s.CreatedAt
	return b.put(ctx, keySettings, name, s, 0)
}

// Rotate replaces the signing key. Until the end of the overlap, the former one signs as well.
func (b *Bucket) Rotate(ctx context.Context, e Endpoint, key []byte, overlap time.Duration) error {
	if _, err := b.sealer.open(e.Name, e.Secret); err == nil {
		e.Previous, e.PreviousUntil = e.Secret, time.Now().Add(overlap).UTC()
	}
	e.Secret = b.sealer.seal(e.Name, key)
	return b.Set(ctx, e)
}

// Set stores the settings of an endpoint that was read before.
func (b *Bucket) Set(ctx context.Context, e Endpoint) error {
	return b.put(ctx, keySettings, e.Name, e.Settings, e.revision)
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
	return b.put(ctx, keyHealth, e.Name, h, e.healthRevision)
}

// Keys returns the keys that sign at a time: the current one first. An error is a *SealError.
func (b *Bucket) Keys(e Endpoint, at time.Time) (keys [][]byte, err error) {
	key, err := b.sealer.open(e.Name, e.Secret)
	if err != nil {
		return nil, err
	}
	keys = append(keys, key)
	if at.Before(e.PreviousUntil) {
		if key, err = b.sealer.open(e.Name, e.Previous); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// put stores a value in place of the one with this revision, 0 for none.
func (b *Bucket) put(ctx context.Context, prefix, name string, value any, revision uint64) error {
	body, err := json.Marshal(value)
	if err == nil {
		_, err = b.js.PublishMsg(ctx, &nats.Msg{
			Subject: streams.WebhookKeys + prefix + name, Data: body, Header: nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupSubject}},
		}, jetstream.WithExpectLastSequencePerSubject(revision))
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return &ConflictError{name}
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
