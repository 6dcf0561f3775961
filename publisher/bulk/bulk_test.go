package bulk_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/bulk"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// slowConn receives about an acknowledgement every 10 ms while slow is set, like one of a server whose disk takes as long for a sync.
type slowConn struct {
	net.Conn
	slow *atomic.Bool
}

func (c slowConn) Read(b []byte) (int, error) {
	if !c.slow.Load() {
		return c.Conn.Read(b)
	}
	<-time.After(10 * time.Millisecond)
	return c.Conn.Read(b[:min(len(b), 100)])
}

type slowDialer struct{ slow *atomic.Bool }

func (d slowDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return slowConn{conn, d.slow}, err
}

// commands returns the stream of commands on a connection that can be slow.
func commands(t *testing.T, server *publishertest.Server, slow *atomic.Bool) bulk.Stream {
	t.Helper()
	nc, err := nats.Connect(server.URL(), nats.SetCustomDialer(slowDialer{slow}), nats.Timeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	stream, err := bulk.NewStream(nc)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func info(t *testing.T, nc *nats.Conn) jetstream.StreamInfo {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	return *stream.CachedInfo()
}

// refuseStaging makes the server refuse every atomic batch, as a full staging directory does.
func refuseStaging(t *testing.T, server *publishertest.Server) {
	t.Helper()
	file := filepath.Join(server.Dir(), "jetstream", "$G", "streams", domain.StreamCommands, "batches")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func message(i int) *nats.Msg {
	return &nats.Msg{Subject: domain.SubjectSync + strconv.Itoa(i), Header: nats.Header{}, Data: []byte("sync")}
}

func stored(errs []error) (n uint64) {
	for _, err := range errs {
		if err == nil {
			n++
		}
	}
	return n
}

// Without room for batches, messages are published singly. A disk with slow syncs acknowledges few of them within the timeout, and
// callers do not wait for ever: what is not published by the end of their patience is refused, not unknown.
func TestSinglesOfASlowServer(t *testing.T) {
	t.Parallel()
	for patience, all := range map[time.Duration]bool{0: true, time.Second: false} {
		t.Run(patience.String(), func(t *testing.T) {
			t.Parallel()
			server := publishertest.Start(t)
			refuseStaging(t, server)
			var slow atomic.Bool
			stream := commands(t, server, &slow)
			stream.Patience = patience
			slow.Store(true)
			errs := stream.Publish(bulk.MaxBatch, message, nil)
			n := stored(errs)
			if n == 0 || (n == bulk.MaxBatch) != all {
				t.Errorf("%d of %d are stored", n, bulk.MaxBatch)
			}
			for i, err := range errs {
				if err != nil && domain.CodeOf(err) != domain.CodeUnavailable {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			if on := info(t, server.Connect(t)).State.Msgs; on != n {
				t.Errorf("%d messages on the stream, %d were acknowledged", on, n)
			}
		})
	}
}

// The messages that exist are told apart once more if the stream gets another one meanwhile.
func TestABatchIsRefusedAgain(t *testing.T) {
	t.Parallel()
	server := publishertest.Start(t)
	stream := commands(t, server, new(atomic.Bool))
	if n := stored(stream.PublishSingly(1, message)); n != 1 {
		t.Fatal("the first message is not stored")
	}
	asked := 0
	errs := stream.Publish(20, message, func(messages []int) []bool {
		asked++
		exist := make([]bool, len(messages))
		for i, m := range messages {
			exist[i] = m < asked
		}
		if one := stream.PublishSingly(1, func(int) *nats.Msg { return message(1) }); asked == 1 && one[0] != nil {
			t.Error(one[0])
		}
		return exist
	})
	for i, err := range errs {
		if (err == bulk.ErrDuplicate) != (i < 2) || i >= 2 && err != nil { //nolint:errorlint // it is not wrapped
			t.Errorf("message %d: %v", i, err)
		}
	}
	if state := info(t, server.Connect(t)).State; asked != 2 || state.Msgs != 20 {
		t.Errorf("asked %d times, %d messages on the stream", asked, state.Msgs)
	}
}
