package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func openLog(t testing.TB, nc *nats.Conn, maxBatch int) *publisher.Log {
	t.Helper()
	log, err := publisher.OpenLog(context.Background(), publisher.LogConfig{Conn: nc, MaxBatch: maxBatch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return log
}

func streamInfo(t testing.TB, nc *nats.Conn, name string) *jetstream.StreamInfo {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo()
}

// commandsOn returns the number of commands on the log.
func commandsOn(t testing.TB, nc *nats.Conn) int {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(domain.SubjectCreate+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(info.State.Subjects)
}

// appendAll appends the commands at the same time and returns their errors.
func appendAll(log *publisher.Log, commands []domain.CreateClient) []error {
	_, errs := acceptAll(log, commands)
	return errs
}

// acceptAll appends the commands at the same time and returns the times at which they were accepted, and their errors.
func acceptAll(log *publisher.Log, commands []domain.CreateClient) ([]time.Time, []error) {
	acceptedAt, errs := make([]time.Time, len(commands)), make([]error, len(commands))
	var wg sync.WaitGroup
	for i, c := range commands {
		wg.Go(func() {
			// The log refuses a command that it cannot publish within 2 s, as while the disk stalls.
			for deadline := time.Now().Add(time.Minute); ; {
				acceptedAt[i], errs[i] = log.Append(context.Background(), c)
				if domain.CodeOf(errs[i]) != domain.CodeUnavailable || time.Now().After(deadline) {
					return
				}
			}
		})
	}
	wg.Wait()
	return acceptedAt, errs
}

// smiths returns n commands.
func smiths(t *testing.T, n int) []domain.CreateClient {
	t.Helper()
	commands := make([]domain.CreateClient, n)
	for i := range commands {
		commands[i] = publishertest.Command(t, publishertest.NewID(t), "Smith")
	}
	return commands
}

func TestAppendKeepsTheCommand(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	log := openLog(t, nc, 0)
	c := publishertest.Command(t, publishertest.NewID(t), "Smith")

	acceptedAt, err := log.Append(context.Background(), c)
	if err != nil || !acceptedAt.Equal(c.AcceptedAt) {
		t.Fatalf("Append: %v, %v", acceptedAt, err)
	}
	found, err := log.Find(context.Background(), c.ID)
	if err != nil || !found.AcceptedAt.Equal(c.AcceptedAt) || found.Fingerprint != c.Fingerprint {
		t.Errorf("Find: %+v, %v", found, err)
	}
	if _, err := log.Find(context.Background(), publishertest.NewID(t)); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("Find of an unknown id: %v", err)
	}
	if _, err := log.Rejection(context.Background(), c.ID); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("Rejection of a pending command: %v", err)
	}
}

func TestConcurrentCommandsAreAccepted(t *testing.T) {
	t.Parallel()
	for _, maxBatch := range []int{0, 1, 7, 64} {
		t.Run(fmt.Sprint("max batch ", maxBatch), func(t *testing.T) {
			nc := publishertest.Start(t).Connect(t)
			log := openLog(t, nc, maxBatch)
			var commands []domain.CreateClient
			for range 700 {
				commands = append(commands, publishertest.Command(t, publishertest.NewID(t), "Smith"))
			}
			for i, err := range appendAll(log, commands) {
				if err != nil {
					t.Fatalf("command %d: %v", i, err)
				}
			}
			if n := streamInfo(t, nc, domain.StreamCommands).State.Msgs; n != 700 {
				t.Errorf("%d commands on the log, want 700", n)
			}
		})
	}
}

func TestALogThatIsAway(t *testing.T) {
	t.Parallel()
	server := publishertest.Start(t)
	nc := server.Connect(t)
	log := openLog(t, nc, 0)
	server.Down()
	if _, err := log.Append(context.Background(), publishertest.Command(t, publishertest.NewID(t), "Smith")); err == nil {
		t.Error("accepted while the log is unavailable")
	} else if code := domain.CodeOf(err); code != domain.CodeUnavailable && code != domain.CodeUnknown {
		t.Errorf("code %q: %v", code, err)
	}
	if log.Ready(context.Background()) == nil {
		t.Error("ready while the log is unavailable")
	}
	server.Up(t)
	publishertest.Eventually(t, "the log is back", func() bool {
		_, err := log.Append(context.Background(), publishertest.Command(t, publishertest.NewID(t), "Smith"))
		return err == nil
	})
	if err := log.Ready(context.Background()); err != nil {
		t.Error(err)
	}
}

// deafConn discards received data while deaf is set.
type deafConn struct {
	net.Conn
	deaf *atomic.Bool
}

func (c deafConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.deaf.Load() {
			return n, err
		}
	}
}

type deafDialer struct{ deaf *atomic.Bool }

func (d deafDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return deafConn{conn, d.deaf}, err
}

// deafConnection returns a connection that receives nothing while deaf is set.
func deafConnection(t *testing.T, server *publishertest.Server, deaf *atomic.Bool) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(server.URL(), nats.SetCustomDialer(deafDialer{deaf}), nats.Timeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// A lost ack leaves the outcome unknown: here all commands are on the log.
func TestLostAcks(t *testing.T) {
	t.Parallel()
	server := publishertest.Start(t)
	var deaf atomic.Bool
	log := openLog(t, deafConnection(t, server, &deaf), 0)
	deaf.Store(true)
	var commands []domain.CreateClient
	for range 100 { // the first is published alone, then the others as a batch
		commands = append(commands, publishertest.Command(t, publishertest.NewID(t), "Smith"))
	}
	for i, err := range appendAll(log, commands) {
		if domain.CodeOf(err) != domain.CodeUnknown {
			t.Errorf("command %d: %v", i, err)
		}
	}
	if n := streamInfo(t, server.Connect(t), domain.StreamCommands).State.Msgs; n != 100 {
		t.Errorf("%d commands on the log, want 100", n)
	}
}

// A request that times out in the pool was certainly not published, and is withdrawn.
func TestARequestThatGivesUpInThePoolIsNotPublished(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	log := openLog(t, nc, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	unpublished := 0
	for range 200 {
		_, err := log.Append(ctx, publishertest.Command(t, publishertest.NewID(t), "Smith"))
		switch domain.CodeOf(err) {
		case domain.CodeUnavailable:
			unpublished++
		case domain.CodeUnknown, "":
		default:
			t.Fatal(err)
		}
	}
	last := publishertest.Command(t, publishertest.NewID(t), "Last")
	if _, err := log.Append(context.Background(), last); err != nil {
		t.Fatal(err)
	}
	if n := streamInfo(t, nc, domain.StreamCommands).State.Msgs; int(n) > 201-unpublished {
		t.Errorf("%d commands on the log though %d of 201 were taken back", n, unpublished)
	}
	if unpublished == 0 {
		t.Error("no request was taken back")
	}
}

func TestAFullLog(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	small := publishertest.Streams
	small.LogMaxBytes = 64 << 10
	if err := streams.Migrate(context.Background(), js, small); err != nil {
		t.Fatal(err)
	}
	log := openLog(t, nc, 0)
	commands := smiths(t, 500)
	accepted := 0
	var one domain.CreateClient
	for i, err := range appendAll(log, commands) {
		switch {
		case err == nil:
			accepted++
			one = commands[i]
		case domain.CodeOf(err) != domain.CodeLogFull:
			t.Fatal(err)
		}
	}
	state := streamInfo(t, nc, domain.StreamCommands).State
	if accepted == 0 || accepted == 500 || int(state.Msgs) != accepted || state.Bytes > 64<<10 {
		t.Errorf("%d accepted, %d on the log in %d bytes", accepted, state.Msgs, state.Bytes)
	}
	// Commands on a full log can be found, but not synced again, which also requires space. A sync message is smaller than a command, so
	// fill the log with them.
	for {
		if _, err = js.Publish(t.Context(), domain.SubjectSync+publishertest.NewID(t).String(), []byte("sync")); err != nil {
			break
		}
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); !ok || api.Description != "maximum bytes exceeded" {
		t.Fatal(err)
	}
	if _, err := log.Append(t.Context(), one); domain.CodeOf(err) != domain.CodeUnknown {
		t.Errorf("a retry on a full log: %v", err)
	}
}

// serverLimits limit the storage of a server or of its account, in bytes.
var serverLimits = map[string]func(*publishertest.Server, testing.TB, int64){
	"server":  (*publishertest.Server).Limit,
	"account": (*publishertest.Server).LimitAccount,
}

// fillServer sets a limit and publishes events up to it.
func fillServer(t *testing.T, js jetstream.JetStream, limit func()) {
	t.Helper()
	limit()
	for _, size := range []int{16 << 10, 1} {
		publishertest.Eventually(t, "the server is full of events", func() bool {
			_, err := js.Publish(t.Context(), domain.SubjectCreated, make([]byte, size))
			_, refused := errors.AsType[*jetstream.APIError](err)
			return refused
		})
	}
}

// The server's limit and the account's are for all streams, so the log can be far from its own.
func TestAFullServer(t *testing.T) {
	t.Parallel()
	for name, limit := range serverLimits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := publishertest.Start(t)
			nc := server.Connect(t)
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			small := publishertest.Streams
			small.LogMaxBytes = 256 << 10
			if err := streams.Migrate(t.Context(), js, small); err != nil {
				t.Fatal(err)
			}
			fillServer(t, js, func() { limit(server, t, 512<<10) })
			log := openLog(t, nc, 0)
			for _, n := range []int{1, 200} { // a single publish, and atomic batches
				for i, err := range appendAll(log, smiths(t, n)) {
					if domain.CodeOf(err) != domain.CodeLogFull {
						t.Fatalf("command %d of %d: %v, want %s", i, n, err, domain.CodeLogFull)
					}
				}
			}
			if n := streamInfo(t, nc, domain.StreamCommands).State.LastSeq; n != 0 {
				t.Errorf("%d refused commands are on the log", n)
			}
		})
	}
}

func TestAMissingStream(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	log := openLog(t, nc, 0)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(context.Background(), domain.StreamCommands); err != nil {
		t.Fatal(err)
	}
	const want = "stream CLIENT_COMMANDS is missing"
	if err := log.Ready(context.Background()); err == nil || err.Error() != want {
		t.Errorf("Ready: %v", err)
	}
	if _, err := publisher.OpenLog(context.Background(), publisher.LogConfig{Conn: nc}); err == nil || err.Error() != want {
		t.Errorf("OpenLog: %v", err)
	}
	if _, err := log.Append(context.Background(), publishertest.Command(t, publishertest.NewID(t), "Smith")); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("Append: %v", err)
	}
}
