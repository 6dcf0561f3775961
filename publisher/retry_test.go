package publisher_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// underKeys returns n commands under the keys "0" and up.
func underKeys(t *testing.T, log *publisher.Log, n int) []domain.CreateClient {
	t.Helper()
	commands := make([]domain.CreateClient, n)
	for i := range commands {
		commands[i] = publishertest.Command(t, log.KeyedID("caller", strconv.Itoa(i)), "Smith")
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
// later message is on disk, unless the log has acknowledged the command to this ingress.
func TestARetryIsSynced(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	log := openLog(t, nc, 0)
	commands := underKeys(t, log, 1)
	if err := errors.Join(appendAll(log, commands)...); err != nil {
		t.Fatal(err)
	}
	end := uint64(1)
	for _, log := range []*publisher.Log{log, openLog(t, nc, 0), openLog(t, nc, 0)} {
		for range 3 {
			wantOriginals(t, log, commands)
			if last := streamInfo(t, nc, domain.StreamCommands).State.LastSeq; last != end {
				t.Errorf("the log ends at %d, want %d", last, end)
			}
		}
		end++
	}
	if n := commandsOn(t, nc); n != 1 {
		t.Errorf("%d commands on the log, want 1", n)
	}
}

// What an ingress remembers of a command is true only while the log has it.
func TestAKeyIsUsedAfterTheLogWasTrimmed(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*system, jetstream.Stream, domain.CreateClient){
		"purged": func(s *system, log jetstream.Stream, _ domain.CreateClient) {
			if err := log.Purge(s.t.Context()); err != nil {
				s.t.Fatal(err)
			}
		},
		"erased": func(s *system, log jetstream.Stream, command domain.CreateClient) {
			if err := log.Purge(s.t.Context(), jetstream.WithPurgeSubject(domain.SubjectCreate+command.ID.String())); err != nil {
				s.t.Fatal(err)
			}
		},
		"created again": func(s *system, _ jetstream.Stream, _ domain.CreateClient) {
			deleteStreams(s.t, s.js)
			if err := streams.Migrate(s.t.Context(), s.js, publishertest.Streams); err != nil {
				s.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			commands := underKeys(t, s.log, 1)
			if err := errors.Join(appendAll(s.log, commands)...); err != nil {
				t.Fatal(err)
			}
			wantOriginals(t, s.log, commands)
			log, err := s.js.Stream(t.Context(), domain.StreamCommands)
			if err != nil {
				t.Fatal(err)
			}
			lose(s, log, commands[0])
			again := publishertest.Command(t, commands[0].ID, "Jones")
			if at, err := s.log.Append(t.Context(), again); err != nil || !at.Equal(again.AcceptedAt) {
				t.Errorf("used again: accepted at %v, want %v: %v", at, again.AcceptedAt, err)
			}
			if found, err := s.log.Find(t.Context(), again.ID); err != nil || found.Fingerprint != again.Fingerprint {
				t.Errorf("the log has %+v: %v", found, err)
			}
			if _, err := s.log.Append(t.Context(), commands[0]); domain.CodeOf(err) != domain.CodeKeyReused {
				t.Errorf("the first command: %v", err)
			}
		})
	}
}

// The last 50,000 commands are remembered, and at most 100,000.
func TestRetriesAreRememberedForAWhile(t *testing.T) {
	t.Parallel()
	ids := make([]uuid.UUID, 180_000)
	for i := range ids {
		ids[i] = publishertest.NewID(t)
	}
	remembered := publisher.Remembered(ids)
	if n := len(remembered); n < 50_000 || n > 100_000 || remembered[0] != ids[len(ids)-n] {
		t.Errorf("%d of %d are remembered", n, len(ids))
	}
}

// Another ingress has accepted the command again since the log lost it. This one remembers another time, and waits for a sync.
func TestARetryOfAnothersCommandIsSynced(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	commands := underKeys(t, s.log, 1)
	another := later(commands)
	for i, log := range []*publisher.Log{s.log, openLog(t, s.nc, 0)} {
		stream, err := s.js.Stream(t.Context(), domain.StreamCommands)
		if err = errors.Join(err, stream.Purge(t.Context())); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(appendAll(log, [][]domain.CreateClient{commands, another}[i])...); err != nil {
			t.Fatal(err)
		}
	}
	before := streamInfo(t, s.nc, domain.StreamCommands).State.LastSeq
	wantOriginals(t, s.log, another)
	if last := streamInfo(t, s.nc, domain.StreamCommands).State.LastSeq; last != before+1 {
		t.Errorf("the log ends at %d, want a sync after %d", last, before)
	}
}

// After a stall of the log all callers retry: the commands are on the log, but their acknowledgements were lost. Each retry gets its
// original operation, without a write of its own.
func TestARetryStorm(t *testing.T) {
	t.Parallel()
	server := publishertest.Start(t)
	var deaf atomic.Bool
	log := openLog(t, deafConnection(t, server, &deaf), 0)
	commands := underKeys(t, log, 500)
	deaf.Store(true)
	for i, err := range appendAll(log, commands) {
		if domain.CodeOf(err) != domain.CodeUnknown {
			t.Fatalf("command %d: %v", i, err)
		}
	}
	deaf.Store(false)
	nc := server.Connect(t)
	before := streamInfo(t, nc, domain.StreamCommands).State.LastSeq
	for name, log := range map[string]*publisher.Log{"the same ingress": log, "another ingress": openLog(t, nc, 0)} {
		wantOriginals(t, log, commands)
		after := streamInfo(t, nc, domain.StreamCommands).State.LastSeq
		if after-before > 50 {
			t.Errorf("%s wrote %d messages", name, after-before)
		}
		before = after
	}
	if n := commandsOn(t, nc); n != len(commands) {
		t.Errorf("%d commands on the log, want %d", n, len(commands))
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
			another := openLog(t, nc, 0) // it would have to sync the command
			for _, try := range []struct {
				log       *publisher.Log
				key, name string
				code      domain.Code
			}{
				{log, "key", "Smith", ""},
				{log, "key", "Jones", domain.CodeKeyReused},
				{log, "new", "Smith", domain.CodeLogFull},
				{another, "key", "Smith", domain.CodeUnknown},
				{another, "key", "Jones", domain.CodeKeyReused},
				{another, "new", "Smith", domain.CodeLogFull},
			} {
				_, err := try.log.Append(t.Context(), publishertest.Command(t, log.KeyedID("caller", try.key), try.name))
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
