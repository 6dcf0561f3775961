package main

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clientele/cmd/internal/backup"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pad adds messages of a subscriber's size limit to the events, which take a while to copy.
func pad(t *testing.T, nc *nats.Conn, megabytes int) {
	t.Helper()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(16))
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 1_000_000)
	_, _ = rand.Read(body) // never fails; it cannot be compressed
	for range megabytes {
		if _, err := js.PublishAsync(domain.SubjectCreated, body, jetstream.WithStallWait(patience)); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}

// TestBackupAsOperator moves a Clientele with the files of deploy, and more than 200 MiB of events, to other servers.
func TestBackupAsOperator(t *testing.T) { //nolint:paralleltest // passwords are in the environment
	from, to := newFortress(t), newFortress(t)
	insecure := func(f *fortress, role string) *proc {
		args := f.flags(role, role)
		if role == "ingress" {
			args = append(args, "--insecure-no-auth")
		}
		p := clientele(t, role, args...)
		p.ready()
		return p
	}
	ingress, worker := insecure(from, "ingress"), insecure(from, "worker")
	operation := accepted(t, ingress.api(), jane, "done")
	record := succeeded(t, ingress.api(), operation)
	worker.stop()
	pending := accepted(t, ingress.api(), jane, "pending")
	pad(t, from.connect("operator"), 220)

	dir := filepath.Join(t.TempDir(), "backup")
	if status, stdout, stderr := runLine(t, append([]string{"backup", dir}, from.flags("operator", "operator")...)...); status != exitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := runLine(t, append([]string{"restore", dir}, to.flags("operator", "owner")...)...); status != exitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	} else if !strings.Contains(stdout, "221 messages") || !regexp.MustCompile(`clients +1\n`).MatchString(stdout) {
		t.Error(stdout)
	}
	was, is := from.log(t), to.log(t)
	if was.AckFloor.Stream != 1 || is.AckFloor.Stream != was.AckFloor.Stream || is.NumPending != was.NumPending {
		t.Errorf("the workers' consumer is %+v, want %+v", is, was)
	}
	equalMessages(t, from.connect("operator"), to.connect("operator"))

	published, err := to.connect("subscriber").SubscribeSync(domain.SubjectCreated)
	if err != nil {
		t.Fatal(err)
	}
	ingress, worker = insecure(to, "ingress"), insecure(to, "worker")
	if again := accepted(t, ingress.api(), jane, "done"); again != operation {
		t.Errorf("a retry is %s, want %s", again, operation)
	}
	if got := succeeded(t, ingress.api(), operation); got != record {
		t.Errorf("%s, want %s", got, record)
	}
	succeeded(t, ingress.api(), pending)
	worker.stop()
	for _, want := range []string{strings.TrimPrefix(pending, "/api/v2/operations/"), ""} {
		msg, err := published.NextMsg(time.Second)
		got := ""
		if err == nil {
			got = msg.Header.Get("ce-subject")
		}
		if got != want {
			t.Errorf("the event of %q was published, want that of %q: %v", got, want, err)
		}
	}
}

// log is the workers' consumer.
func (f *fortress) log(t *testing.T) *jetstream.ConsumerInfo {
	t.Helper()
	js, err := jetstream.New(f.connect("operator"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := js.Consumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo()
}

// equalMessages compares the messages of the streams, with their sequences and times.
func equalMessages(t *testing.T, a, b *nats.Conn) {
	t.Helper()
	for _, name := range []string{domain.StreamCommands, domain.StreamEvents, domain.StreamRejections} {
		var streams [2]jetstream.Stream
		for i, nc := range []*nats.Conn{a, b} {
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			if streams[i], err = js.Stream(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		from, to := streams[0].CachedInfo(), streams[1].CachedInfo()
		if from.State.Msgs != to.State.Msgs || from.State.LastSeq != to.State.LastSeq || from.Config.MaxAge != to.Config.MaxAge {
			t.Errorf("%s: %+v, want %+v", name, to.State, from.State)
		}
		for seq := max(1, from.State.FirstSeq); seq <= from.State.LastSeq; seq++ {
			want, err := streams[0].GetMsg(t.Context(), seq)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := streams[1].GetMsg(t.Context(), seq); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: message %d differs: %v", name, seq, err)
			}
		}
	}
}

// TestBackupUnderLoad backs up while clients are accepted and stored, and looks for every promise in what was restored.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	from := newSite(t)
	ingress := from.clientele("ingress")
	from.clientele("worker")
	pad(t, from.js.Conn(), 150) // so that clients are created while the streams are copied
	var (
		mu       sync.Mutex
		callers  sync.WaitGroup
		promised []string // operations accepted so far
	)
	stop := make(chan struct{})
	for caller := range 8 {
		callers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				operation := accepted(t, ingress.api(), jane, fmt.Sprint(caller, "-", i))
				mu.Lock()
				promised = append(promised, operation)
				mu.Unlock()
			}
		})
	}
	publishertest.Eventually(t, "clients are stored", func() bool { return from.rows() > 200 })
	mu.Lock()
	before := slices.Clip(promised)
	mu.Unlock()
	dir := filepath.Join(t.TempDir(), "backup")
	if status, stdout, stderr := runLine(t, append([]string{"backup", dir}, from.flags...)...); status != exitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	close(stop)
	callers.Wait()
	m, err := backup.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.EventsMissing == 0 {
		t.Error("no client was stored after the events were copied: this test shows nothing")
	}

	to := newSiteOn(t, storetest.Postgres(t))
	if status, stdout, stderr := runLine(t, append([]string{"restore", dir}, to.flags...)...); status != exitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	// Before a worker repairs anything: no event without its row, and each row has its event or a command that is not done.
	rows := to.ids()
	have := events(t, to.nats.url)
	delete(have, "") // the padding
	for id := range have {
		if !rows[id] {
			t.Errorf("client %s has an event and no row", id)
		}
	}
	floor := to.consumer().AckFloor.Stream
	waiting := map[string]bool{}
	for _, msg := range messages(t, to.nats.url, domain.StreamCommands) {
		id, command := strings.CutPrefix(msg.Subject, domain.SubjectCreate)
		switch {
		case command && msg.Sequence > floor:
			waiting[id] = true
		case command && (!rows[id] || have[id] == nil):
			t.Errorf("the log takes the command of client %s for done: row %v, events %d", id, rows[id], len(have[id]))
		}
	}
	for id := range rows {
		if have[id] == nil && !waiting[id] {
			t.Errorf("client %s has no event, and no command that would publish it", id)
		}
	}
	to.clientele("worker")
	publishertest.Eventually(t, "the log drains", to.drained)
	rows = to.ids()
	for _, operation := range before {
		if id := strings.TrimPrefix(operation, "/api/v2/operations/"); !rows[id] {
			t.Errorf("client %s was accepted before the backup, and is lost", id)
		}
	}
}

// ids are those of all rows.
func (s *site) ids() map[string]bool {
	s.t.Helper()
	conn := s.session()
	defer conn.Close(s.t.Context())
	rows, err := conn.Query(s.t.Context(), `SELECT id::text FROM clients`)
	if err != nil {
		s.t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	set := map[string]bool{}
	for _, id := range ids {
		set[id] = true
	}
	return set
}
