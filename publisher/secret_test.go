package publisher_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"

	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// keyedID returns an id that an ingress which starts now derives.
func keyedID(t *testing.T, nc *nats.Conn) uuid.UUID {
	return openLog(t, nc, 0).KeyedID("crm", "order-1")
}

// ofVersion01 is the id that anybody can compute.
var ofVersion01 = domain.KeyedID("", "crm", "order-1")

// settings returns the settings of the command log.
func settings(t *testing.T, js jetstream.JetStream) jetstream.StreamConfig {
	t.Helper()
	log, err := js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	return log.CachedInfo().Config
}

func TestTheSecretStays(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	id := keyedID(t, s.nc)
	if id.Version() != 8 || id == ofVersion01 || id == domain.KeyedID("crm", "crm", "order-1") {
		t.Errorf("id %s", id)
	}
	for _, cfg := range []streams.Config{
		{}, publishertest.Streams, {LogMaxBytes: 2 << 30, EventRetention: streams.DefaultEventRetention},
	} {
		if err := streams.Migrate(t.Context(), s.js, cfg); err != nil {
			t.Fatal(err)
		}
		if again := keyedID(t, s.nc); again != id {
			t.Errorf("%+v: id %s, want %s", cfg, again, id)
		}
	}
	if other := keyedID(t, publishertest.Start(t).Connect(t)); other == id {
		t.Errorf("two installations derive %s", id)
	}
}

// Programs that set up at the same time agree on the secret before any of them accepts a command.
func TestOneOfManySecretsWins(t *testing.T) {
	t.Parallel()
	for range 10 {
		server := publishertest.Start(t)
		js, err := jetstream.New(server.Connect(t))
		if err != nil {
			t.Fatal(err)
		}
		deleteStreams(t, js)
		ids := make([]uuid.UUID, 8)
		var wg sync.WaitGroup
		for i := range ids {
			nc := server.Connect(t)
			wg.Go(func() {
				js, err := jetstream.New(nc)
				if err = errors.Join(err, streams.Migrate(t.Context(), js, streams.Config{})); err != nil {
					t.Error(err)
					return
				}
				ids[i] = keyedID(t, nc)
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] || id.Version() != 8 {
				t.Errorf("ids %v", ids)
			}
		}
	}
}

// lateJetStream calls meanwhile between a program's look-up of a missing command log and its creation.
type lateJetStream struct {
	jetstream.JetStream
	meanwhile func()
}

func (l lateJetStream) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	stream, err := l.JetStream.Stream(ctx, name)
	if name == domain.StreamCommands && errors.Is(err, jetstream.ErrStreamNotFound) {
		l.meanwhile()
	}
	return stream, err
}

// Another program creates the streams, and an ingress starts, while this one is about to create them.
func TestASecretInUseIsNotReplaced(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	deleteStreams(t, s.js)
	var used uuid.UUID
	late := lateJetStream{s.js, func() {
		if err := streams.Migrate(t.Context(), s.js, publishertest.Streams); err != nil {
			t.Fatal(err)
		}
		used = keyedID(t, s.nc)
	}}
	if err := streams.Migrate(t.Context(), late, streams.Config{LogMaxBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if id := keyedID(t, s.nc); id != used || id.Version() != 8 || settings(t, s.js).MaxBytes != 1<<20 {
		t.Errorf("id %s, want %s", id, used)
	}
}

// The streams of version 0.1 have no secret: the ids of its keys stay what they are, and nobody gives it a secret later.
func TestIDsOfVersion01(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	old := settings(t, s.js)
	maps.DeleteFunc(old.Metadata, func(name, _ string) bool { return name == "clientele-id-secret" })
	if _, err := s.js.UpdateStream(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if id := keyedID(t, s.nc); id != ofVersion01 {
			t.Errorf("id %s, want %s", id, ofVersion01)
		}
		if err := streams.Migrate(t.Context(), s.js, publishertest.Streams); err != nil {
			t.Fatal(err)
		}
	}
}

// An ingress that was running when the log was lost and created again derives the same ids as one that starts later.
func TestALogThatIsCreatedAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	before := s.log.KeyedID("crm", "order-1")
	deleteStreams(t, s.js)
	if err := streams.Migrate(t.Context(), s.js, publishertest.Streams); err != nil {
		t.Fatal(err)
	}
	if err := s.log.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if id := s.log.KeyedID("crm", "order-1"); id != keyedID(t, s.nc) || id == before {
		t.Errorf("id %s, before %s", id, before)
	}
}

func deleteStreams(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for _, name := range []string{domain.StreamCommands, domain.StreamEvents, domain.StreamRejections} {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}
