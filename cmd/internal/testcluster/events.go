package testcluster

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"

	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Events returns all client.created events on the stream, by client id.
func Events(t testing.TB, url string) map[string][]*jetstream.RawStreamMsg {
	t.Helper()
	events := map[string][]*jetstream.RawStreamMsg{}
	for _, msg := range Messages(t, url, domain.StreamEvents) {
		id := msg.Header.Get("ce-subject")
		events[id] = append(events[id], msg)
	}
	return events
}

// Messages returns the messages of a stream.
func Messages(t testing.TB, url, name string) []*jetstream.RawStreamMsg {
	t.Helper()
	js := JetStream(t, url)
	stream, err := js.Stream(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	var msgs []*jetstream.RawStreamMsg
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		var msg *jetstream.RawStreamMsg
		publishertest.Eventually(t, "the message, or its absence", func() bool {
			msg, err = stream.GetMsg(context.Background(), seq)
			return err == nil || errors.Is(err, jetstream.ErrMsgNotFound)
		})
		if err != nil {
			continue
		}
		msgs = append(msgs, msg)
	}
	return msgs
}

// Secret returns the secret from which the ids of keyed requests derive.
func Secret(t testing.TB, url string) string {
	t.Helper()
	log, err := JetStream(t, url).Stream(context.Background(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	return log.CachedInfo().Config.Metadata["clientele-id-secret"]
}

// JetStream connects to the server at the URL until the test ends.
func JetStream(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, nats.Timeout(Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// watch collects events that are published from now on. The function that it returns returns them by client id.
func watch(t testing.TB, url string) (published func() map[string][]*nats.Msg) {
	t.Helper()
	nc, err := nats.Connect(url, nats.Timeout(Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	var mu sync.Mutex
	msgs := map[string][]*nats.Msg{}
	if _, err := nc.Subscribe(domain.SubjectCreated, func(msg *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		id := msg.Header.Get("ce-subject")
		msgs[id] = append(msgs[id], msg)
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() map[string][]*nats.Msg {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(msgs)
	}
}
