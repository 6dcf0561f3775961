package streams_test

import (
	"runtime"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// heap returns the size of the reachable objects, in bytes.
func heap() float64 {
	runtime.GC()
	runtime.GC() // frees what finalizers kept
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// A full log of the smallest commands, with ids in random order, needs no more memory than MemoryFor says. The rest is for the
// garbage collector.
func TestMemoryOfAFullLog(t *testing.T) {
	const commands, share = 20_000, 0.7
	nc := publishertest.Start(t).Connect(t)
	log, err := publisher.OpenPublisher(t.Context(), nc, domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	smallest := domain.Details{FirstName: "J", LastName: "S", EmailAddress: "j@s.io"}
	before := heap()
	err = log.Publish(commands, func(int) *nats.Msg {
		command, err := domain.NewCreateClient(uuid.New(), "c", time.Now(), smallest)
		if err != nil {
			t.Fatal(err)
		}
		m := domain.EncodeCommand(command, "")
		return &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Body}
	})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	size := float64(stream.CachedInfo().State.Bytes) / commands
	// The server caches blocks of the stream for a while.
	var index float64
	publishertest.Eventually(t, "the server has emptied its caches", func() bool {
		index = (heap() - before) / commands
		return index <= share*size
	})
	t.Logf("a command has %.0f bytes on disk and %.0f in memory", size, index)
	if index < 100 {
		t.Errorf("%.0f bytes in memory: the test measures something else", index)
	}
}
