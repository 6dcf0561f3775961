package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go/jetstream"
)

// underKeys returns n commands under the keys "0" and up.
func underKeys(t *testing.T, log *publisher.Log, n int) []domain.CreateClient {
	t.Helper()
	commands := make([]domain.CreateClient, n)
	for i := range commands {
		commands[i] = publishertest.Command(t, log.KeyedID("caller", fmt.Sprint(i)), "Smith")
	}
	return commands
}

// later returns retries of the commands an hour later.
func later(commands []domain.CreateClient) []domain.CreateClient {
	retries := slices.Clone(commands)
	for i := range retries {
		retries[i].AcceptedAt = retries[i].AcceptedAt.Add(time.Hour)
	}
	return retries
}

// wantOriginals appends retries of the commands at the same time, and checks that each is accepted when its original was.
func wantOriginals(t *testing.T, log *publisher.Log, commands []domain.CreateClient) {
	t.Helper()
	acceptedAt, errs := acceptAll(log, later(commands))
	for i, at := range acceptedAt {
		if errs[i] != nil || !at.Equal(commands[i].AcceptedAt) {
			t.Errorf("retry %d was accepted at %v (%v), the original at %v", i, at, errs[i], commands[i].AcceptedAt)
		}
	}
}

// An ingress that does not remember the duplicates of a batch looks them up, and publishes the others as a batch again.
func TestABatchWithDuplicatesStaysABatch(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const originals, others = 20, 200
	commands := underKeys(t, s.log, originals+others)
	if err := errors.Join(appendAll(s.log, commands[:originals])...); err != nil {
		t.Fatal(err)
	}
	before := streamInfo(t, s.nc, domain.StreamCommands).State.LastSeq
	log := openLog(t, s.nc, 0)
	acceptedAt, errs := acceptAll(log, later(commands))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for i, at := range acceptedAt {
		if original := commands[i].AcceptedAt; at.Equal(original) != (i < originals) {
			t.Errorf("command %d was accepted at %v, first at %v", i, at, original)
		}
	}
	singles, syncs := 0, 0
	for _, msg := range s.messages(domain.StreamCommands) {
		switch {
		case strings.HasPrefix(msg.Subject, domain.SubjectSync):
			syncs++
		case msg.Sequence > before && msg.Header.Get("Nats-Batch-Id") == "":
			singles++
		}
	}
	// The first requests are published before the others gather. The retries of one batch share a sync.
	if n := commandsOn(t, s.nc); n != originals+others || singles > 20 || syncs > 5 {
		t.Errorf("%d commands, %d published singly, and %d syncs on the log", n, singles, syncs)
	}
}

// The stream refuses a whole batch for one duplicate. The other commands must still be published.
func TestADuplicateFailsNoOtherCommandOfItsBatch(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	log := openLog(t, nc, 0)
	same, other := publishertest.Command(t, publishertest.NewID(t), "Same"), publishertest.Command(t, publishertest.NewID(t), "Other")
	for i, err := range appendAll(log, []domain.CreateClient{same, other}) {
		if err != nil {
			t.Fatal(i, err)
		}
	}
	// The plug keeps the flusher busy, so that the other commands become one batch.
	commands := []domain.CreateClient{publishertest.Command(t, publishertest.NewID(t), "Plug")}
	for range 100 {
		commands = append(commands, publishertest.Command(t, publishertest.NewID(t), "Smith"))
	}
	retry := same
	retry.AcceptedAt = same.AcceptedAt.Add(time.Hour)
	commands = append(commands, retry, publishertest.Command(t, other.ID, "Another"))
	errs := appendAll(log, commands)
	conflict := len(errs) - 1
	for i, err := range errs[:conflict] {
		if err != nil {
			t.Errorf("command %d: %v", i, err)
		}
	}
	if domain.CodeOf(errs[conflict]) != domain.CodeKeyReused {
		t.Errorf("another command under a known id: %v", errs[conflict])
	}
	if n := commandsOn(t, nc); n != 103 {
		t.Errorf("%d commands on the log, want 103", n)
	}
	if at, err := log.Append(context.Background(), retry); err != nil || !at.Equal(same.AcceptedAt) {
		t.Errorf("a retry was accepted at %v (%v), the original at %v", at, err, same.AcceptedAt)
	}
}

func TestTheSameIDAtTheSameTime(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	log := openLog(t, nc, 0)
	id := publishertest.NewID(t)
	// The goroutines started first and last tend to run first. While the flusher publishes their commands, those with the same id
	// gather in the pool.
	var commands []domain.CreateClient
	for i := range 100 {
		if i < 20 || i >= 80 {
			commands = append(commands, publishertest.Command(t, publishertest.NewID(t), "Other"))
		} else {
			commands = append(commands, publishertest.Command(t, id, []string{"Smith", "Jones"}[i%2]))
		}
	}
	reused := 0
	for i, err := range appendAll(log, commands) {
		switch {
		case domain.CodeOf(err) == domain.CodeKeyReused:
			reused++
		case err != nil:
			t.Errorf("command %d: %v", i, err)
		}
	}
	if reused != 30 {
		t.Errorf("%d refused as another command, want 30", reused)
	}
	if n := commandsOn(t, nc); n != 41 {
		t.Errorf("%d commands on the log, want 41", n)
	}
}

// A command on the log is not always on disk: the server also returns commands that it failed to sync. A retry is accepted when a
// later message is on disk.
func TestARetryIsSynced(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	log := openLog(t, nc, 0)
	c := publishertest.Command(t, publishertest.NewID(t), "Smith")
	for want := range uint64(3) {
		if _, err := log.Append(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		state := streamInfo(t, nc, domain.StreamCommands).State
		if state.LastSeq != want+1 {
			t.Errorf("after retry %d the log ends at %d", want, state.LastSeq)
		}
	}
	if n := commandsOn(t, nc); n != 1 {
		t.Errorf("%d commands on the log, want 1", n)
	}
}

// The server checks its own limit and the account's before it compares subjects, so it refuses the retry of a command that is on the log
// as it refuses a new one. A retry on a log that is full is not refused as if the command had not been accepted.
func TestARetryOnAFullServer(t *testing.T) {
	t.Parallel()
	for name, limit := range serverLimits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := publishertest.Start(t)
			nc := server.Connect(t)
			log := openLog(t, nc, 0)
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			small := publishertest.Streams
			small.LogMaxBytes = 256 << 10
			if err := streams.Migrate(t.Context(), js, small); err != nil {
				t.Fatal(err)
			}
			command := publishertest.Command(t, log.KeyedID("caller", "key"), "Smith")
			if _, err := log.Append(t.Context(), command); err != nil {
				t.Fatal(err)
			}
			fillServer(t, js, func() { limit(server, t, 512<<10) })
			for _, try := range []struct {
				key, name string
				code      domain.Code
			}{{"key", "Smith", domain.CodeUnknown}, {"key", "Jones", domain.CodeKeyReused}, {"new", "Smith", domain.CodeLogFull}} {
				_, err := log.Append(t.Context(), publishertest.Command(t, log.KeyedID("caller", try.key), try.name))
				if domain.CodeOf(err) != try.code {
					t.Errorf("%s under %s: %v, want %s", try.name, try.key, err, try.code)
				}
			}
		})
	}
}

// A command that the log refuses as a duplicate and then removes has an outcome, which may be a client.
func TestARemovedDuplicateIsUnknown(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	log := openLog(t, nc, 0)
	command := publishertest.Command(t, log.KeyedID("caller", "key"), "Smith")
	if _, err := log.Append(t.Context(), command); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	commands, err := js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	_, err = log.Original(t.Context(), command, func() {
		if err := commands.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if domain.CodeOf(err) != domain.CodeUnknown {
		t.Errorf("%v, want %s", err, domain.CodeUnknown)
	}
}
