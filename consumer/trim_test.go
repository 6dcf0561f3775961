package consumer_test

import (
	"context"
	"testing"
	"time"

	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/google/uuid"
)

func TestTrim(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(consumer.Config{History: time.Hour})
	s.publishCommands(20)
	s.drained()
	stop()
	s.publishCommands(5) // these stay open
	left := func() int { return len(s.messages(domain.StreamCommands)) }

	if err := s.worker(consumer.Config{History: time.Hour}).Trim(context.Background()); err != nil || left() != 25 {
		t.Errorf("within the history: %d commands left (%v), want 25", left(), err)
	}
	if err := s.worker(consumer.Config{}).Trim(context.Background()); err != nil || left() != 5 {
		t.Errorf("past the history: %d commands left (%v), want 5", left(), err)
	}
}

func TestTrimMakesRoomBeforeTheHistoryIsOver(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(consumer.Config{History: time.Hour})
	s.publishCommands(40)
	s.drained()
	stop()
	small := publishertest.Streams
	small.LogMaxBytes = 2 * int64(s.stream(domain.StreamCommands).CachedInfo().State.Bytes) // it is half full
	if err := streams.Migrate(t.Context(), s.js, small); err != nil {
		t.Fatal(err)
	}
	purges, err := s.nc.SubscribeSync("$JS.API.STREAM.PURGE." + domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	w := s.worker(consumer.Config{History: time.Hour})
	w.LimitTrim(1000, 10)
	for range 2 { // the second finds nothing to do
		if err := w.Trim(t.Context()); err != nil {
			t.Fatal(err)
		}
		state := s.stream(domain.StreamCommands).CachedInfo().State
		if share := 100 * state.Bytes / uint64(small.LogMaxBytes); share < 15 || share > 20 {
			t.Errorf("the log is %d %% full, want at most 20 and not much less", share)
		}
		if state.LastSeq != 40 || state.NumDeleted != 0 {
			t.Errorf("the last command is %d and %d are missing, want the newest", state.LastSeq, state.NumDeleted)
		}
	}
	if n, _, err := purges.Pending(); err != nil || n != 3 {
		t.Errorf("%d purges (%v), want 3: of 24 commands, 10 at a time", n, err)
	}
}

// Records of rejections leave the database with the rejections, which are on their stream for 90 days.
func TestARunningWorkerTrimsRecordsOfRejections(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	rejection := func(age time.Duration) domain.Rejection {
		command := publishertest.Command(t, publishertest.NewID(t), " ")
		return domain.Rejection{
			ID: command.ID.String(), Reason: domain.CodeInvalid, RejectedAt: domain.Timestamp(time.Now().Add(-age)),
			Command: domain.RejectedCommand{Headers: messageOf(command).Header},
		}
	}
	const day = 24 * time.Hour
	old, young := rejection(90*day+time.Minute), rejection(89*day)
	if err := s.store.RecordRejections(t.Context(), []domain.Rejection{old, young}); err != nil {
		t.Fatal(err)
	}
	caller := young.Command.Caller()
	listed := func() []domain.Operation {
		operations, err := s.store.Operations(t.Context(), caller, "", time.Now().Add(-100*day), uuid.Nil, 10)
		if err != nil {
			t.Fatal(err)
		}
		return operations
	}
	if n := len(listed()); n != 2 {
		t.Fatalf("%d records", n)
	}
	s.run(consumer.Config{Rejections: s.store})
	publishertest.Eventually(t, "a record is removed", func() bool { return len(listed()) < 2 })
	if left := listed(); len(left) != 1 || left[0].ID.String() != young.ID {
		t.Errorf("left %+v, want %s", left, young.ID)
	}
}

// A full disk leaves only commands without an outcome.
func TestTrimWhileTheDiskIsFull(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := s.run(consumer.Config{History: time.Hour})
	s.publishCommands(20)
	s.drained()
	stop()
	s.publishCommands(5)
	for _, c := range []struct {
		full bool
		left uint64
	}{{false, 25}, {true, 5}} {
		if err := s.worker(consumer.Config{History: time.Hour, Full: func() bool { return c.full }}).Trim(t.Context()); err != nil {
			t.Fatal(err)
		}
		if state := s.stream(domain.StreamCommands).CachedInfo().State; state.Msgs != c.left {
			t.Errorf("full: %t: %d commands left, want %d", c.full, state.Msgs, c.left)
		}
	}
}

// The server stores nothing during a purge, for a time that grows with the log. So the history is short, and a long backlog is trimmed
// in large steps.
func TestTrimKeepsPurgesShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name               string
		finished, open     int
		most, step         uint64
		full               bool
		wantLeft, wantEach int
	}{
		{"a history within the limit", 50, 0, 50, 10, false, 50, 0},
		{"a history above the limit", 60, 0, 50, 10, false, 40, 10},
		{"a backlog, and fewer finished commands than a purge removes", 1, 70, 50, 1, false, 71, 0},
		{"a backlog, and finished commands for three purges", 6, 60, 50, 1, false, 60, 2},
		{"a backlog, and a full disk", 1, 70, 50, 1, true, 70, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			stop := s.run(consumer.Config{History: time.Hour})
			s.publishCommands(c.finished)
			s.drained()
			stop()
			s.publishCommands(c.open)
			purges, err := s.nc.SubscribeSync("$JS.API.STREAM.PURGE." + domain.StreamCommands)
			if err != nil {
				t.Fatal(err)
			}
			w := s.worker(consumer.Config{History: time.Hour, Full: func() bool { return c.full }})
			w.LimitTrim(c.most, c.step)
			if err := w.Trim(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left := len(s.messages(domain.StreamCommands)); left != c.wantLeft {
				t.Errorf("%d commands left, want %d", left, c.wantLeft)
			}
			want := 0
			if c.wantEach > 0 {
				want = (c.finished + c.open - c.wantLeft) / c.wantEach
			}
			if n, _, err := purges.Pending(); err != nil || n != want {
				t.Errorf("%d purges (%v), want %d", n, err, want)
			}
		})
	}
}
