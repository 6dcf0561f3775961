package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/store"
	"clientele/store/sqlite"
	"clientele/store/storetest"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// registry has clients with their events, and the flags of clientele erase.
type registry struct {
	store   store.Store
	clients []domain.Client
	flags   []string
}

// newRegistry returns a registry of n clients. The worker's clock was fast by three hours.
func newRegistry(t *testing.T, n int) registry {
	t.Helper()
	nc := publishertest.Start(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := consumer.Migrate(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "clientele.db")})
	r := registry{
		store: storetest.Migrated(t, db, err), clients: storetest.Clients(n),
		flags: []string{"--data-dir", dir, "--nats-url", nc.ConnectedUrl(), "--yes"},
	}
	events := make([]domain.Event, n)
	for i := range r.clients {
		r.clients[i].CreatedAt = r.clients[i].CreatedAt.Add(3 * time.Hour)
		if events[i], err = domain.NewEvent(r.clients[i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.store.Create(t.Context(), r.clients); err != nil {
		t.Fatal(err)
	}
	outcomes, err := publisher.OpenOutcomePublisher(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := outcomes.PublishEvents(events); err != nil {
		t.Fatal(err)
	}
	return r
}

// left returns the ids of the clients in the database, and the tombstones.
func (r registry) left(t *testing.T) (ids []uuid.UUID, tombstones []domain.Erasure) {
	t.Helper()
	tombstones, err := r.store.Export(t.Context(), func(c domain.Client) error {
		ids = append(ids, c.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids, tombstones
}

func TestErase(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, 2)
	id := r.clients[0].ID
	began := domain.Timestamp(time.Now())
	status, stdout, stderr := testcluster.RunLine(t, slices.Concat(
		[]string{"erase", id.String(), "--reason=ticket 4711", "--operator=Alice"}, r.flags)...)
	if want := "erased " + id.String() + ": rows 1, commands 0, rejections 0, events 1; published client.erased\n"; status != cli.ExitOK || stdout != want {
		t.Errorf("%d: %s%s, want %s", status, stdout, stderr, want)
	}
	ids, tombstones := r.left(t)
	if !slices.Equal(ids, []uuid.UUID{r.clients[1].ID}) {
		t.Errorf("the database has %v", ids)
	}
	if len(tombstones) != 1 || tombstones[0] != domain.NewErasure(id, tombstones[0].ErasedAt, "ticket 4711", "Alice") || tombstones[0].ErasedAt.Before(began) {
		t.Errorf("tombstones %+v", tombstones)
	}
}

// TestEraseFrom erases the clients of a file, which also has an unknown id, an id twice and a blank line.
func TestEraseFrom(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, 4)
	unknown := uuid.NewString()
	file := filepath.Join(t.TempDir(), "ids.txt")
	lines := []string{r.clients[0].ID.String(), unknown, "", " " + strings.ToUpper(r.clients[1].ID.String()) + "\r", r.clients[0].ID.String(), r.clients[2].ID.String()}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := testcluster.RunLine(t, slices.Concat([]string{"erase", "--from", file}, r.flags)...)
	if want := "erased 3 clients: rows 3, commands 0, rejections 0, events 3; published client.erased\n"; status != cli.ExitError || stdout != want {
		t.Errorf("%d: %s, want %s", status, stdout, want)
	}
	if want := "no data about " + unknown + " was found; client.erased was published anyway\nclientele: erased 3 of 4 clients\n"; stderr != want {
		t.Errorf("%s, want %s", stderr, want)
	}
	if ids, tombstones := r.left(t); !slices.Equal(ids, []uuid.UUID{r.clients[3].ID}) || len(tombstones) != 4 || tombstones[0].Operator == "" {
		t.Errorf("the database has %v and the tombstones %+v", ids, tombstones)
	}
	var out, errs strings.Builder
	last := r.clients[3].ID.String()
	status = cli.Run(t.Context(), slices.Concat([]string{"erase", "--from", "-"}, r.flags), os.Getenv, strings.NewReader(last), &out, &errs)
	if status != cli.ExitOK || !strings.HasPrefix(out.String(), "erased "+last+": rows 1, ") {
		t.Errorf("standard input: %d: %s%s", status, out.String(), errs.String())
	}
}

func TestEraseRefuses(t *testing.T) {
	t.Parallel()
	id := uuid.NewString()
	file := filepath.Join(t.TempDir(), "ids.txt")
	if err := os.WriteFile(file, []byte(id+"\nJane\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nothing":              {nil, "pass either an id or --from"},
		"an id and a file":     {[]string{id, "--from=" + file}, "pass either an id or --from"},
		"a line that is no id": {[]string{"--from=" + file}, "line 2 is not a UUID; nothing was erased"},
		"no ids":               {[]string{"--from=" + os.DevNull}, "the file has no ids"},
		"a long reason":        {[]string{id, "--reason=" + strings.Repeat("x", 201)}, "--reason must be at most 200 printable characters"},
		"a reason of lines":    {[]string{id, "--reason=a\nb"}, "--reason must be at most 200 printable characters"},
		"a hidden operator":    {[]string{id, "--operator=a\u202eb"}, "--operator: must be at most 200 printable characters"},
	} {
		status, stdout, stderr := testcluster.RunLine(t, append([]string{"erase", "--yes"}, test.args...)...)
		if status != cli.ExitUsage || !strings.Contains(stderr, test.want) || strings.Contains(stderr, "Jane") {
			t.Errorf("%s: %d: %s%s, want %q", name, status, stdout, stderr, test.want)
		}
	}
}
