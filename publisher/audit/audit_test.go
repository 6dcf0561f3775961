package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/audit"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

var alice = domain.AuditActor{Kind: domain.AuditOperator, Name: "Alice", Host: "here"}

// trail is a recorder on a real server.
type trail struct {
	*audit.Recorder

	t       *testing.T
	server  *publishertest.Server
	js      jetstream.JetStream
	file    string
	metrics *prometheus.Registry
}

func newTrail(t *testing.T) *trail {
	t.Helper()
	r := &trail{t: t, server: publishertest.Start(t), file: filepath.Join(t.TempDir(), "audit.log"), metrics: prometheus.NewRegistry()}
	nc := r.server.Connect(t)
	var err error
	if r.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if r.Recorder, err = audit.Open(t.Context(), audit.Config{Conn: nc, File: audit.File(r.file), Actor: alice, Metrics: r.metrics}); err != nil {
		t.Fatal(err)
	}
	return r
}

// read returns the records on the stream.
func (r *trail) read(f audit.Filter) (records []domain.AuditRecord) {
	r.t.Helper()
	for record, err := range audit.Read(r.t.Context(), r.js, f) {
		if err != nil {
			r.t.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

// lines returns the records in the file.
func (r *trail) lines() (records []domain.AuditRecord) {
	r.t.Helper()
	content, err := os.ReadFile(r.file)
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		record, err := domain.ParseAuditRecord([]byte(line))
		if err != nil {
			r.t.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

// Concurrent calls share batches. Each returns when its records are on the stream and in the file, in the same order.
func TestRecord(t *testing.T) {
	t.Parallel()
	r := newTrail(t)
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			record := domain.AuditRecord{Action: domain.AuditClientRead, Result: domain.AuditSucceeded, ClientID: uuid.New()}
			for range 4 {
				if err := r.Record(t.Context(), record, record, record); err != nil {
					t.Error(err)
				}
			}
			if n := len(r.read(audit.Filter{Client: record.ClientID})); n != 12 {
				t.Errorf("%d records", n)
			}
		})
	}
	callers.Wait()
	stored := r.read(audit.Filter{})
	if len(stored) != 600 || !slices.Equal(stored, r.lines()) {
		t.Errorf("%d records on the stream, %d in the file", len(stored), len(r.lines()))
	}
	ids := map[uuid.UUID]bool{}
	for _, record := range stored {
		ids[record.ID] = true
		if record.Actor != alice || time.Since(record.Time) > time.Minute {
			t.Fatalf("%+v", record)
		}
	}
	if len(ids) != len(stored) {
		t.Errorf("%d ids", len(ids))
	}
	if info, err := os.Stat(r.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// The server refuses to delete and purge records, and to allow it.
func TestAppendOnly(t *testing.T) {
	t.Parallel()
	r := newTrail(t)
	if err := r.Record(t.Context(), domain.AuditRecord{Action: domain.AuditErase}); err != nil {
		t.Fatal(err)
	}
	stream, err := r.js.Stream(t.Context(), domain.StreamAudit)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.DenyDelete, config.DenyPurge = false, false
	_, allowed := r.js.UpdateStream(t.Context(), config)
	for attack, err := range map[string]error{
		"delete": stream.DeleteMsg(t.Context(), 1), "overwrite": stream.SecureDeleteMsg(t.Context(), 1),
		"purge": stream.Purge(t.Context()), "allow": allowed,
	} {
		if err == nil {
			t.Errorf("%s is accepted", attack)
		}
		t.Logf("%-10s %v", attack, err)
	}
	if n := len(r.read(audit.Filter{})); n != 1 {
		t.Errorf("%d records", n)
	}
	// The retention can be changed, and the records stay.
	if err := streams.Migrate(t.Context(), r.js, streams.Config{AuditRetention: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.Config.MaxAge != time.Hour || info.State.Msgs != 1 {
		t.Errorf("%+v, %v", info, err)
	}
}

// An action that cannot be recorded is not carried out.
func TestNotRecorded(t *testing.T) {
	t.Parallel()
	for name, prevent := range map[string]func(*trail){
		"no stream": func(r *trail) {
			if err := r.js.DeleteStream(t.Context(), domain.StreamAudit); err != nil {
				t.Fatal(err)
			}
		},
		"no server": func(r *trail) { r.server.Down() },
		"no file": func(r *trail) {
			if err := os.RemoveAll(filepath.Dir(r.file)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTrail(t)
			prevent(r)
			err := r.Act(t.Context(), domain.AuditRecord{Action: domain.AuditErase}, func(*domain.AuditRecord) error {
				t.Error("it was carried out")
				return nil
			})
			if _, ok := errors.AsType[*audit.NotRecordedError](err); !ok {
				t.Errorf("Act returned %v", err)
			}
			if err := r.Ready(t.Context()); err == nil {
				t.Error("it is ready")
			}
		})
	}
}

func TestAct(t *testing.T) {
	t.Parallel()
	r := newTrail(t)
	for _, result := range []error{nil, errors.New("no"), domain.Errorf(domain.CodeUnknown, "no response")} {
		if err := r.Act(t.Context(), domain.AuditRecord{Action: domain.AuditReplay}, func(end *domain.AuditRecord) error {
			end.Count = 3
			return result
		}); !errors.Is(err, result) {
			t.Errorf("Act returned %v, want %v", err, result)
		}
	}
	// The end is recorded even if the action was interrupted, and its absence is an error.
	ctx, cancel := context.WithCancel(t.Context())
	if err := r.Act(ctx, domain.AuditRecord{Action: domain.AuditReplay}, func(*domain.AuditRecord) error { cancel(); return ctx.Err() }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var got []string
	for _, record := range r.read(audit.Filter{}) {
		got = append(got, fmt.Sprint(record.Result, record.Count))
	}
	if want := []string{"started0", "succeeded3", "started0", "failed3", "started0", "unknown3", "started0", "failed0"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	err := r.Act(t.Context(), domain.AuditRecord{Action: domain.AuditReplay}, func(*domain.AuditRecord) error {
		return r.js.DeleteStream(t.Context(), domain.StreamAudit)
	})
	if _, ok := errors.AsType[*audit.UnrecordedEndError](err); !ok {
		t.Errorf("Act returned %v", err)
	}
}

// The end of an action is recorded when NATS is back, such as after the servers have elected a leader, and once.
func TestAnEndIsRecordedAfterAnOutage(t *testing.T) {
	t.Parallel()
	r := newTrail(t)
	var outage sync.WaitGroup
	err := r.Act(t.Context(), domain.AuditRecord{Action: domain.AuditReplay}, func(*domain.AuditRecord) error {
		r.server.Down()
		outage.Go(func() {
			publishertest.Eventually(t, "a write fails", func() bool { return failures(t, r.metrics) > 0 })
			r.server.Up(t)
		})
		return nil
	})
	outage.Wait()
	var got []string
	for _, record := range r.read(audit.Filter{}) {
		got = append(got, string(record.Result))
	}
	if want := []string{"started", "succeeded"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", err, got, want)
	}
	if lines := r.lines(); len(lines) != 2 {
		t.Errorf("%d lines in the file", len(lines))
	}
}

// A flood becomes a few records with its count, none is lost in an outage, and Close writes the last ones.
func TestCollect(t *testing.T) {
	t.Parallel()
	r := newTrail(t)
	c := audit.NewCollector(r.Recorder, zerolog.Nop())
	flood := func() {
		for i := range 10_000 {
			c.Collect(domain.AuditRecord{Action: domain.AuditRefused, Result: "no_token", Address: fmt.Sprint("10.0.0.", i%1000)})
		}
	}
	sum := func() (n int64, records int) {
		stored := r.read(audit.Filter{Action: domain.AuditRefused})
		for _, record := range stored {
			n += record.Count
		}
		return n, len(stored)
	}
	flood()
	publishertest.Eventually(t, "the flood is recorded", func() bool { n, _ := sum(); return n == 10_000 })
	if _, records := sum(); records > 2*101 { // the flood can begin in one second and end in the next
		t.Errorf("%d records", records)
	}
	r.server.Down()
	flood()
	publishertest.Eventually(t, "two writes fail", func() bool { return failures(t, r.metrics) >= 2 })
	r.server.Up(t)
	publishertest.Eventually(t, "NATS is back", func() bool { return r.Ready(t.Context()) == nil })
	publishertest.Eventually(t, "the second flood is recorded", func() bool { n, _ := sum(); return n == 20_000 })
	flood()
	c.Close()
	if n, records := sum(); n != 30_000 || records != len(r.lines()) {
		t.Errorf("%d refusals, want 30000; %d records on the stream, %d in the file", n, records, len(r.lines()))
	}
}

// failures returns the number of writes that failed.
func failures(t *testing.T, metrics *prometheus.Registry) float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "clientele_audit_failures_total" {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("no metric")
	return 0
}

// The file can be renamed, several processes append to it, and a line that was cut spoils no other.
func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	record := domain.AuditRecord{Action: domain.AuditErase}
	write := func() {
		t.Helper()
		if err := audit.File(path).Append(record); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content[:len(content)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	write()
	after, err := os.ReadFile(path)
	if want := string(content[:len(content)/2]) + "\n" + string(content); err != nil || string(after) != want {
		t.Errorf("%v: %s, want %s", err, after, want)
	}
	if old, err := os.ReadFile(path + ".1"); err != nil || string(old) != string(content) {
		t.Errorf("%v: %s", err, old)
	}
	if err := audit.File("").Append(record); err != nil {
		t.Error(err)
	}
}

// A role can only claim actions to whose subjects it may publish, and a message that is not a record is listed.
func TestRead(t *testing.T) {
	t.Parallel()
	r := newTrail(t)
	forged, err := domain.AuditRecord{Action: domain.AuditErase, Result: domain.AuditSucceeded, Time: time.Now()}.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{string(forged), "garbage"} {
		if _, err := r.js.Publish(t.Context(), domain.SubjectAudit+"client_read", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	records := r.read(audit.Filter{})
	if len(records) != 2 || records[0].Action != domain.AuditClientRead || records[1].Result != domain.AuditUnreadable || time.Since(records[1].Time) > time.Minute {
		t.Errorf("%+v", records)
	}
	for name, test := range map[string]struct {
		filter audit.Filter
		want   int
	}{
		"all": {audit.Filter{Since: time.Now().Add(-time.Hour)}, 2}, "none since": {audit.Filter{Since: time.Now().Add(time.Minute)}, 0},
		"none until": {audit.Filter{Until: time.Now().Add(-time.Hour)}, 0}, "an action": {audit.Filter{Action: domain.AuditErase}, 0},
		"an actor": {audit.Filter{Actor: "Alice"}, 0},
	} {
		if got := r.read(test.filter); len(got) != test.want {
			t.Errorf("%s: %+v, want %d", name, got, test.want)
		}
	}
}
