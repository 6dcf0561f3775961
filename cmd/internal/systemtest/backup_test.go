package systemtest

import (
	"crypto/rand"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/backup"
	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pad adds large messages to the events, so that copying takes a while.
func pad(t *testing.T, nc *nats.Conn, megabytes int) {
	t.Helper()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(16))
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 1_000_000)
	_, _ = rand.Read(body) // never fails; random data cannot be compressed
	for range megabytes {
		if _, err := js.PublishAsync(domain.SubjectCreated, body, jetstream.WithStallWait(testcluster.Patience)); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}

// TestBackupAsOperator moves a Clientele with the files of deploy, and more than 200 MiB of events, to other servers.
func TestBackupAsOperator(t *testing.T) {
	t.Parallel()
	from, to := testcluster.NewSecured(t), testcluster.NewSecured(t)
	insecure := func(f *testcluster.Secured, role string) *testcluster.Process {
		args := f.Flags(role, role)
		if role == "ingress" {
			args = append(args, "--insecure-no-auth")
		}
		p := testcluster.Clientele(t, role, args...)
		p.Ready()
		return p
	}
	ingress, worker := insecure(from, "ingress"), insecure(from, "worker")
	operation := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "done")
	record := testcluster.Succeeded(t, ingress.API(), operation)
	worker.Stop()
	pending := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "pending")
	pad(t, from.Connect("operator"), 220)

	dir := filepath.Join(t.TempDir(), "backup")
	if status, stdout, stderr := testcluster.RunLine(t, append([]string{"backup", dir}, from.Flags("operator", "operator")...)...); status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := testcluster.RunLine(t, append([]string{"restore", dir}, to.Flags("operator", "owner")...)...); status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	} else if !strings.Contains(stdout, "221 messages") || !regexp.MustCompile(`clients +1\n`).MatchString(stdout) {
		t.Error(stdout)
	}
	was, is := workersOf(t, from), workersOf(t, to)
	if was.AckFloor.Stream != 1 || is.AckFloor.Stream != was.AckFloor.Stream || is.NumPending != was.NumPending {
		t.Errorf("the workers' consumer is %+v, want %+v", is, was)
	}
	equalMessages(t, from.Connect("operator"), to.Connect("operator"))

	published := to.Subscription()
	ingress, worker = insecure(to, "ingress"), insecure(to, "worker")
	if again := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "done"); again != operation {
		t.Errorf("a retry is %s, want %s", again, operation)
	}
	if got := testcluster.Succeeded(t, ingress.API(), operation); got != record {
		t.Errorf("%s, want %s", got, record)
	}
	testcluster.Succeeded(t, ingress.API(), pending)
	// Before the worker stops: on a busy machine, NATS disconnects it while it reads the events that are larger than any client's.
	event, err := published.Next(jetstream.FetchMaxWait(testcluster.Patience))
	if err != nil || event.Headers().Get("ce-subject") != strings.TrimPrefix(pending, "/api/v2/operations/") {
		t.Fatalf("not the event of %s: %+v (%v)", pending, event, err)
	}
	worker.Stop()
	if other, err := published.Next(jetstream.FetchMaxWait(time.Second)); err == nil {
		t.Errorf("another event was published: %v", other.Headers())
	}
}

// workersOf returns the workers' consumer.
func workersOf(t *testing.T, f *testcluster.Secured) *jetstream.ConsumerInfo {
	t.Helper()
	js, err := jetstream.New(f.Connect("operator"))
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

// TestBackupUnderLoad backs up while clients are accepted and stored, and checks every promise after the restore.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	from := testcluster.New(t)
	ingress := from.Clientele("ingress")
	from.Clientele("worker")
	pad(t, from.JetStream.Conn(), 150) // so that clients are created while the streams are copied
	callers := testcluster.NewTraffic(t, ingress.API())
	publishertest.Eventually(t, "clients are stored", func() bool { return from.Rows() > 200 })
	accepted, _ := callers.Counts()
	dir := filepath.Join(t.TempDir(), "backup")
	if status, stdout, stderr := testcluster.RunLine(t, append([]string{"backup", dir}, from.Flags...)...); status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	before := callers.Stop()[:accepted]
	m, err := backup.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.EventsMissing == 0 {
		t.Log("this time no client was stored after the events were copied") // whether one is stored is chance; backup tests this
	}

	to := testcluster.NewOn(t, storetest.Postgres(t))
	if status, stdout, stderr := testcluster.RunLine(t, append([]string{"restore", dir}, to.Flags...)...); status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	// Before a worker repairs anything, no event is without its row, and each row has an event or an unacknowledged command.
	rows := to.IDs()
	have := testcluster.Events(t, to.NATS.URL)
	delete(have, "") // the padding
	for id := range have {
		if !rows[id] {
			t.Errorf("client %s has an event and no row", id)
		}
	}
	floor := to.Consumer().AckFloor.Stream
	waiting := map[string]bool{}
	for _, msg := range testcluster.Messages(t, to.NATS.URL, domain.StreamCommands) {
		id, command := strings.CutPrefix(msg.Subject, domain.SubjectCreate)
		switch {
		case command && msg.Sequence > floor:
			waiting[id] = true
		case command && (!rows[id] || have[id] == nil):
			t.Errorf("the command of client %s is acknowledged on the log: row %v, events %d", id, rows[id], len(have[id]))
		}
	}
	for id := range rows {
		if have[id] == nil && !waiting[id] {
			t.Errorf("client %s has no event, and no command that would publish it", id)
		}
	}
	to.Clientele("worker")
	publishertest.Eventually(t, "the log drains", to.Drained)
	rows = to.IDs()
	for _, operation := range before {
		if id := strings.TrimPrefix(operation, "/api/v2/operations/"); !rows[id] {
			t.Errorf("client %s was accepted before the backup, and is lost", id)
		}
	}
}
