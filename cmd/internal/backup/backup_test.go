package backup_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/backup"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/audit"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"
	"clientele/store"
	"clientele/store/sqlite"
	"clientele/store/storetest"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// servers are a NATS server and a database.
type servers struct {
	conn *nats.Conn
	js   jetstream.JetStream
	db   store.Store
}

// start returns migrated servers without messages and clients.
func start(t *testing.T) servers {
	t.Helper()
	s := servers{conn: publishertest.Start(t).Connect(t)}
	var err error
	if s.js, err = jetstream.New(s.conn); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "clientele.db")})
	s.db = storetest.Migrated(t, db, err)
	if err := consumer.Migrate(t.Context(), s.js); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s servers) config(dir string) backup.Config {
	return backup.Config{Dir: dir, Conn: s.conn, Clients: s.db, Version: "test", Progress: func(string, int64, int64) {}}
}

// fill creates clients with their events, and one whose event is not published yet.
func (s servers) fill(t *testing.T, n int) []domain.Client {
	t.Helper()
	outcomes, err := publisher.OpenOutcomePublisher(t.Context(), s.conn)
	if err != nil {
		t.Fatal(err)
	}
	clients := storetest.Clients(n)
	if _, err := s.db.Create(t.Context(), clients); err != nil {
		t.Fatal(err)
	}
	events := make([]domain.Event, n)
	for i, c := range clients {
		if events[i], err = domain.NewEvent(c); err != nil {
			t.Fatal(err)
		}
		if _, err := s.js.Publish(t.Context(), domain.SubjectCreate+c.ID.String(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := outcomes.PublishEvents(events[1:]); err != nil {
		t.Fatal(err)
	}
	return clients
}

func (s servers) state(t *testing.T, name string) jetstream.StreamState {
	t.Helper()
	stream, err := s.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State
}

func create(t *testing.T, s servers) (dir string, m backup.Manifest) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "backup")
	m, err := backup.Create(t.Context(), s.config(dir))
	if err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func restore(t *testing.T, s servers, dir string) error {
	t.Helper()
	_, err := backup.Restore(t.Context(), backup.RestoreConfig{Config: s.config(dir)})
	return err
}

// export returns the clients and the marks of a database.
func export(t *testing.T, db store.Store) (clients []domain.Client, marks store.Marks) {
	t.Helper()
	marks, err := db.Export(t.Context(), func(c domain.Client) error { clients = append(clients, c); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return clients, marks
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	from, to := start(t), start(t)
	clients := from.fill(t, 50)
	gone := storetest.Clients(1)[0]
	if _, err := from.db.Erase(t.Context(), gone.ID, domain.NewErasure(gone.ID, time.Now(), "a reason", "an operator")); err != nil {
		t.Fatal(err)
	}
	if err := from.db.Hold(t.Context(), domain.NewHold(clients[0].ID, time.Date(2999, 12, 31, 0, 0, 0, 0, time.UTC), time.Now(), "a reason", "")); err != nil {
		t.Fatal(err)
	}
	dir, m := create(t, from)
	if m.Rows != len(clients) || m.Erasures != 1 || m.Holds != 1 || m.EventsMissing != 1 {
		t.Errorf("%d rows, %d tombstones, %d events missing", m.Rows, m.Erasures, m.EventsMissing)
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[entry.IsDir()]; err == nil && info.Mode().Perm() != want {
			t.Errorf("%s is %v, want %v", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := restore(t, to, dir); err != nil {
		t.Fatal(err)
	}
	got, gotMarks := export(t, to.db)
	want, wantMarks := export(t, from.db)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d clients that differ from the %d of the backup", len(got), len(want))
	}
	if !reflect.DeepEqual(gotMarks, wantMarks) {
		t.Errorf("the marks are %+v, want %+v", gotMarks, wantMarks)
	}
	if results, err := to.db.Create(t.Context(), []domain.Client{gone}); err != nil || results[0].Outcome != domain.Erased {
		t.Errorf("an erased client after the restore: %+v, %v", results, err)
	}
	for name, want := range map[string]uint64{domain.StreamCommands: 50, domain.StreamEvents: 50, domain.StreamRejections: 0} {
		if got := to.state(t, name); got.Msgs != want {
			t.Errorf("%s has %d messages, want %d", name, got.Msgs, want)
		}
	}
	if err := consumer.Ready(t.Context(), to.js); err != nil {
		t.Error(err)
	}
	if _, err := backup.Create(t.Context(), from.config(dir)); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a backup over another: %v", err)
	}
}

// TestABackupWithoutHolds restores a backup of a version that had no legal holds.
func TestABackupWithoutHolds(t *testing.T) {
	t.Parallel()
	from, to := start(t), start(t)
	from.fill(t, 3)
	dir, m := create(t, from)
	if err := os.Remove(filepath.Join(dir, "holds.json")); err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(manifest, &object); err != nil {
		t.Fatal(err)
	}
	object["files"] = slices.DeleteFunc(object["files"].([]any), func(file any) bool { return file.(map[string]any)["name"] == "holds.json" })
	if len(object["files"].([]any)) != len(m.Files)-1 || object["holds"] != nil {
		t.Fatalf("the manifest is %s", manifest)
	}
	if manifest, err = json.Marshal(object); err == nil {
		err = os.WriteFile(filepath.Join(dir, "manifest.json"), manifest, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := restore(t, to, dir); err != nil {
		t.Fatal(err)
	}
	if clients, _ := export(t, to.db); len(clients) != 3 {
		t.Errorf("%d clients, want 3", len(clients))
	}
}

// TestRefused restores what must be refused, and checks that the servers do not change.
func TestRefused(t *testing.T) {
	t.Parallel()
	from := start(t)
	from.fill(t, 20)
	good, m := create(t, from)
	copied := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	damage := func(file string, change func([]byte) []byte) func(*testing.T, servers, string) {
		return func(t *testing.T, _ servers, dir string) {
			content, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, file), change(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	type test struct {
		prepare func(*testing.T, servers, string)
		want    string
	}
	tests := map[string]test{
		"a database in use that has no clients": {func(t *testing.T, s servers, _ string) {
			id := uuid.New()
			if _, err := s.db.Erase(t.Context(), id, domain.NewErasure(id, time.Now(), "", "")); err != nil {
				t.Fatal(err)
			}
		}, "the database has 0 clients"},
		"interrupted before its end": {func(t *testing.T, _ servers, dir string) {
			if err := os.Remove(filepath.Join(dir, "manifest.json")); err != nil {
				t.Fatal(err)
			}
		}, "not a complete backup"},
		"a newer format": {damage("manifest.json", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"format": 5`), []byte(`"format": 6`), 1)
		}), "formats 2 to 5"},
		"a file that is gone": {func(t *testing.T, _ servers, dir string) {
			if err := os.Remove(filepath.Join(dir, "clients.ndjson.gz")); err != nil {
				t.Fatal(err)
			}
		}, "clients.ndjson.gz"},
		"a stream in use": {func(t *testing.T, s servers, _ string) {
			if _, err := s.js.Publish(t.Context(), domain.SubjectRejected+"x", []byte("x")); err != nil {
				t.Fatal(err)
			}
		}, "stream CLIENT_REJECTIONS is in use"},
		"a database in use": {func(t *testing.T, s servers, _ string) {
			if _, err := s.db.Create(t.Context(), storetest.Clients(1)); err != nil {
				t.Fatal(err)
			}
		}, "the database has 1 clients"},
		"a database in use, of the same size": {func(t *testing.T, s servers, _ string) {
			if _, err := s.db.Create(t.Context(), storetest.Clients(20)); err != nil {
				t.Fatal(err)
			}
		}, "the database has 20 clients"},
	}
	for _, file := range m.Files {
		tests["damaged: "+file.Name] = test{damage(file.Name, flip), "is damaged"}
		tests["cut short: "+file.Name] = test{damage(file.Name, func(b []byte) []byte { return b[:len(b)-1] }), "is damaged"}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to, dir := start(t), copied(t)
			test.prepare(t, to, dir)
			rows, _ := export(t, to.db)
			rejections := to.state(t, domain.StreamRejections).Msgs
			if err := restore(t, to, dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Restore returned %v, want %q", err, test.want)
			}
			if after, _ := export(t, to.db); len(after) != len(rows) || to.state(t, domain.StreamCommands).LastSeq+to.state(t, domain.StreamEvents).LastSeq != 0 ||
				to.state(t, domain.StreamRejections).Msgs != rejections {
				t.Error("something was restored")
			}
		})
	}
}

// TestInterrupted interrupts a restore in each part and runs it again.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	from := start(t)
	from.fill(t, 200)
	dir, _ := create(t, from)
	for _, part := range []string{"check CLIENT_EVENTS.s2", "clients", "check clients", domain.StreamRejections, domain.StreamEvents, domain.StreamCommands} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			to := start(t)
			nc, err := nats.Connect(to.conn.ConnectedUrl(), nats.Timeout(20*time.Second)) // which the interruption closes
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			ctx, cancel := context.WithCancel(t.Context())
			cfg := to.config(dir)
			cfg.Conn = nc
			cfg.Progress = func(what string, _, _ int64) {
				if what == part {
					cancel()
				}
			}
			if _, err := backup.Restore(ctx, backup.RestoreConfig{Config: cfg}); !errors.Is(err, context.Canceled) {
				t.Fatalf("Restore returned %v", err)
			}
			publishertest.Eventually(t, "the second run restores all", func() bool {
				err := restore(t, to, dir)
				if err != nil {
					t.Log(err) // the server cancels an interrupted restore after a while
				}
				return err == nil
			})
			if got, _ := export(t, to.db); len(got) != 200 {
				t.Errorf("%d clients", len(got))
			}
			for _, name := range []string{domain.StreamCommands, domain.StreamEvents} {
				if got := to.state(t, name).Msgs; got != 200 {
					t.Errorf("%s has %d messages", name, got)
				}
			}
		})
	}
}

// TestCompare checks that a restored stream may lack only messages older than its retention.
func TestCompare(t *testing.T) {
	t.Parallel()
	held := backup.Stream{Messages: 10, FirstSeq: 1, LastSeq: 10, Consumers: 1}
	state := func(msgs, first, last uint64, consumers int) jetstream.StreamState {
		return jetstream.StreamState{Msgs: msgs, FirstSeq: first, LastSeq: last, Consumers: consumers}
	}
	for name, c := range map[string]struct {
		state  jetstream.StreamState
		maxAge time.Duration
		equal  bool
	}{
		"all of it":                   {state(10, 1, 10, 1), 0, true},
		"a tail is missing":           {state(9, 1, 9, 1), time.Hour, false},
		"one in between is missing":   {state(9, 1, 10, 1), time.Hour, false},
		"the first ones have expired": {state(6, 5, 10, 1), time.Hour, true},
		"all have expired":            {state(0, 11, 10, 1), time.Hour, true},
		"nothing can have expired":    {state(6, 5, 10, 1), 0, false},
		"more than there was":         {state(11, 1, 11, 1), 0, false},
		"a consumer is missing":       {state(10, 1, 10, 0), 0, false},
		"a consumer more":             {state(10, 1, 10, 2), 0, true},
	} {
		err := backup.Compare(held, jetstream.StreamInfo{State: c.state, Config: jetstream.StreamConfig{MaxAge: c.maxAge}})
		if (err == nil) != c.equal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAuditTrail restores the records beside those that the target has, once, although an interrupted restore is repeated.
func TestAuditTrail(t *testing.T) {
	t.Parallel()
	from, to := start(t), start(t)
	from.fill(t, 1)
	record := func(s servers, action domain.AuditAction, n int) {
		t.Helper()
		trail, err := audit.Open(t.Context(), audit.Config{Conn: s.conn})
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if err := trail.Record(t.Context(), domain.AuditRecord{Action: action}); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := func(s servers) (actions []domain.AuditAction) {
		t.Helper()
		for r, err := range audit.Read(t.Context(), s.js, audit.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			actions = append(actions, r.Action)
		}
		return actions
	}
	record(from, domain.AuditErase, 600) // more than a batch
	if err := streams.Migrate(t.Context(), from.js, streams.Config{AuditRetention: 48 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	dir, _ := create(t, from)
	record(to, domain.AuditRestore, 1)
	for range 2 {
		if err := restore(t, to, dir); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(to); len(got) != 601 || got[0] != domain.AuditRestore || got[600] != domain.AuditErase {
		t.Errorf("%d records", len(got))
	}
	stream, err := to.js.Stream(t.Context(), domain.StreamAudit)
	if err != nil {
		t.Fatal(err)
	}
	if config := stream.CachedInfo().Config; config.MaxAge != 48*time.Hour || !config.DenyDelete || !config.DenyPurge {
		t.Errorf("%+v", config)
	}
}

// A backup of version 0.1 has no audit stream.
func TestWithoutAuditTrail(t *testing.T) {
	t.Parallel()
	from, to := start(t), start(t)
	from.fill(t, 5)
	dir, m := create(t, from)
	inFormat2(t, dir, m)
	if err := restore(t, to, dir); err != nil {
		t.Fatal(err)
	}
	if got, _ := export(t, to.db); len(got) != 5 {
		t.Errorf("%d clients", len(got))
	}
}

// inFormat2 changes a backup to the format of version 0.1.
func inFormat2(t *testing.T, dir string, m backup.Manifest) {
	t.Helper()
	m.Format = 2
	later := func(name string) bool {
		return strings.HasPrefix(name, domain.StreamAudit) || strings.HasPrefix(name, domain.StreamSubscriptions) || strings.HasPrefix(name, domain.StreamWebhooks)
	}
	m.Streams = slices.DeleteFunc(m.Streams, func(s backup.Stream) bool { return later(s.Name) })
	m.Files = slices.DeleteFunc(m.Files, func(f backup.File) bool { return later(f.Name) })
	content, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), content, 0o600); err != nil {
		t.Fatal(err)
	}
}
