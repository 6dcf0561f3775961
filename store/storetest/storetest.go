// Package storetest tests implementations of store.Store against its contract, and starts real PostgreSQL servers for tests.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// Database is a database that is empty at first.
type Database struct {
	// Open returns a store on the database, as if in a separate program. The suite closes it.
	Open func() (store.Store, error)
	// Exec runs a statement without using a store.
	Exec func(statement string) error
}

// Run tests a store against the contract. Each call of fresh returns another database.
func Run(t *testing.T, fresh func(t *testing.T) Database) {
	s := suite{fresh: fresh, db: fresh(t)}
	s.st = open(t, s.db)
	migrate(t, s.st)
	for name, test := range map[string]func(*testing.T){
		"a client is returned unchanged":                       s.roundTrip,
		"any command is returned unchanged":                    s.anyCommand,
		"results are in the order of the clients":              s.order,
		"a replay returns the existing client":                 s.replay,
		"a conflict changes nothing":                           s.conflict,
		"a batch may mix the three":                            s.mixed,
		"of equal ids in a batch the first is created":         s.equalIDs,
		"an empty batch needs no database":                     s.empty,
		"a batch may be large":                                 s.large,
		"one unstorable client fails its batch":                s.unstorable,
		"an unstorable replay is a replay":                     s.unstorableReplay,
		"concurrent batches may overlap":                       s.overlap,
		"a cancelled batch is stored completely or not at all": s.cancelled,
		"an unknown id is not found":                           s.notFound,
		"a deleted client is not found":                        s.deleted,
		"clients can be paged by time of creation":             s.pages,
		"all clients can be copied to another database":        s.exportLoad,
		"an export is one snapshot":                            s.exportSnapshot,
		"loading is all or nothing":                            s.loadRefused,
		"clients can be found by e-mail and name":              s.find,
		"Find finds no deleted client":                         s.findDeleted,
		"a store without a schema returns a SchemaError":       s.noSchema,
		"migrating twice does nothing":                         s.migrateTwice,
		"several programs may migrate at once":                 s.migrateAtOnce,
		"a newer schema is not changed":                        s.newerSchema,
		"stored clients outlive the store":                     s.reopen,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

type suite struct {
	fresh func(*testing.T) Database
	// db is shared by the tests that need only unique ids. It has the schema. st is a store on it.
	db Database
	st store.Store
}

func (s suite) roundTrip(t *testing.T) {
	full := func(c *domain.Client) { c.Details = fullDetails() }
	tests := map[string]func(*domain.Client){
		"the required members only": func(*domain.Client) {},
		"every member":              full,
		"255 characters of four bytes each": func(c *domain.Client) {
			full(c)
			*c.CompanyName = strings.Repeat("🦊", 255)
			c.Address.Line1 = strings.Repeat("𝔸", 255)
		},
		"characters of all kinds": func(c *domain.Client) {
			full(c)
			c.FirstName = `O'Brien "\"; DROP TABLE clients; --`
			c.LastName = "Ἀθηνᾶ שלום مرحبا नमस्ते 你好 👩\u200d👩\u200d👧"
			*c.Title = "%s $1 ?1 {NULL} NULL"
			*c.MiddleName = "\ufeff\ufffd\uffff\U0010ffff"
			*c.Occupation = "\u202eright to left\u202c"
		},
		"the first day":                         func(c *domain.Client) { c.DOB = new("0001-01-01") },
		"a leap day":                            func(c *domain.Client) { c.DOB = new("2024-02-29") },
		"no preference":                         func(c *domain.Client) { c.CommunicationPreferences = &domain.CommunicationPreferences{} },
		"the required part of an address":       func(c *domain.Client) { c.Address = &domain.Address{Line1: "1", Postcode: "D02 AF30"} },
		"a fingerprint with a zero at each end": func(c *domain.Client) { c.Fingerprint = domain.Fingerprint{1: 0xff} },
		"times of whole microseconds": func(c *domain.Client) {
			c.AcceptedAt = time.Date(2026, 3, 29, 1, 30, 0, 1_000, time.UTC)
			c.CreatedAt = time.Date(2026, 10, 25, 1, 30, 59, 999_999_000, time.UTC)
		},
		"times before 1970": func(c *domain.Client) { c.AcceptedAt = time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC) },
		"the nil id":        func(c *domain.Client) { c.ID = uuid.Nil },
		"the highest id":    func(c *domain.Client) { c.ID = uuid.Max },
	}
	for _, status := range []domain.Status{
		domain.StatusActive, domain.StatusClosed, domain.StatusInvited, domain.StatusNotInvited, domain.StatusSendFailed,
	} {
		tests["status "+string(status)] = func(c *domain.Client) { c.Status = status }
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClient()
			change(&c)
			wantResult(t, create(t, s.st, c)[0], domain.Created, c)
			wantStored(t, s.st, c)
			wantResult(t, create(t, s.st, c)[0], domain.Replayed, c)
		})
	}
}

// anyCommand creates random clients that the ingress would accept.
func (s suite) anyCommand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawClient(t)
		wantResult(t, create(t, s.st, c)[0], domain.Created, c)
		got := wantStored(t, s.st, c)
		if got, want := mustJSON(t, got), mustJSON(t, c); string(got) != string(want) {
			t.Errorf("the record came back as %s, want %s", got, want)
		}
	})
}

func (s suite) order(t *testing.T) {
	clients := Clients(50)
	rand.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	create(t, s.st, clients[:20]...)
	rand.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	for i, r := range create(t, s.st, clients...) {
		if r.Client.ID != clients[i].ID {
			t.Fatalf("result %d is of client %s, want %s", i, r.Client.ID, clients[i].ID)
		}
		wantResult(t, r, r.Outcome, clients[i])
	}
}

func (s suite) replay(t *testing.T) {
	first := newClient()
	create(t, s.st, first)
	again := first
	again.AcceptedAt = first.AcceptedAt.Add(time.Hour)
	again.CreatedAt = first.CreatedAt.Add(time.Hour)
	wantResult(t, create(t, s.st, again)[0], domain.Replayed, first)
	wantStored(t, s.st, first)
}

func (s suite) conflict(t *testing.T) {
	first := newClient()
	create(t, s.st, first)
	wantResult(t, create(t, s.st, other(first))[0], domain.Conflict, first)
	wantStored(t, s.st, first)
}

func (s suite) mixed(t *testing.T) {
	clients := Clients(9)
	create(t, s.st, clients[:6]...)
	batch := slices.Clone(clients)
	for i := range 3 {
		batch[i] = other(clients[i])
	}
	slices.Reverse(batch)
	results := create(t, s.st, batch...)
	slices.Reverse(results)
	for i, r := range results {
		want := []domain.CreateOutcome{domain.Conflict, domain.Replayed, domain.Created}[i/3]
		wantResult(t, r, want, clients[i])
		wantStored(t, s.st, clients[i])
	}
}

func (s suite) equalIDs(t *testing.T) {
	for name, there := range map[string]bool{"not there yet": false, "there already": true} {
		t.Run(name, func(t *testing.T) {
			clients := Clients(2)
			a, b := clients[0], clients[1]
			first := domain.Created
			if there {
				create(t, s.st, a)
				first = domain.Replayed
			}
			late := a
			late.CreatedAt = a.CreatedAt.Add(time.Second)
			results := create(t, s.st, a, other(a), b, late, other(b), a)
			wantResult(t, results[0], first, a)
			wantResult(t, results[1], domain.Conflict, a)
			wantResult(t, results[2], domain.Created, b)
			wantResult(t, results[3], domain.Replayed, a)
			wantResult(t, results[4], domain.Conflict, b)
			wantResult(t, results[5], domain.Replayed, a)
			wantStored(t, s.st, a)
			wantStored(t, s.st, b)
		})
	}
}

// empty uses a database without a schema: a query would fail.
func (s suite) empty(t *testing.T) {
	st := open(t, s.fresh(t))
	for _, clients := range [][]domain.Client{nil, {}} {
		if results, err := st.Create(t.Context(), clients); len(results) != 0 || err != nil {
			t.Errorf("Create of %d clients returned %v, %v", len(clients), results, err)
		}
	}
}

func (s suite) large(t *testing.T) {
	clients := Clients(1000)
	for _, want := range []domain.CreateOutcome{domain.Created, domain.Replayed} {
		for i, r := range create(t, s.st, clients...) {
			wantResult(t, r, want, clients[i])
		}
	}
}

func (s suite) unstorable(t *testing.T) {
	for name, spoil := range map[string]func(*domain.Client){
		"a status that is none":    func(c *domain.Client) { c.Status = "Sekrit" },
		"a date that is none":      func(c *domain.Client) { c.DOB = new("Sekrit") },
		"the 30th of February":     func(c *domain.Client) { c.DOB = new("2024-02-30") },
		"a date in another manner": func(c *domain.Client) { c.DOB = new("Sekrit 1 1999") },
	} {
		t.Run(name, func(t *testing.T) {
			clients := Clients(9)
			bad := &clients[4]
			bad.FirstName = "Sekrit"
			spoil(bad)
			results, err := s.st.Create(t.Context(), clients)
			if domain.CodeOf(err) != domain.CodeUnstorable || results != nil {
				t.Fatalf("Create returned %v, %v, want code %s", results, err, domain.CodeUnstorable)
			}
			for _, value := range []string{"Sekrit", "2024-02-30", bad.EmailAddress, bad.ID.String()} {
				if strings.Contains(err.Error(), value) {
					t.Errorf("the error tells a value of the row: %v", err)
				}
			}
			for _, c := range clients {
				wantNotFound(t, s.st, c.ID)
			}
			for _, r := range create(t, s.st, slices.Delete(clients, 4, 5)...) {
				wantResult(t, r, domain.Created, r.Client)
			}
		})
	}
}

// unstorableReplay reuses an existing id: the row in the database decides, not the new client.
func (s suite) unstorableReplay(t *testing.T) {
	c := newClient()
	create(t, s.st, c)
	bad := c
	bad.DOB = new("2024-02-30")
	results, err := s.st.Create(t.Context(), []domain.Client{bad})
	if err != nil {
		if domain.CodeOf(err) != domain.CodeUnstorable {
			t.Fatalf("Create returned %v", err)
		}
	} else {
		wantResult(t, results[0], domain.Replayed, c)
	}
	wantStored(t, s.st, c)
}

// overlap has several writers in two programs. Each creates all clients, in a different order.
func (s suite) overlap(t *testing.T) {
	const rounds, writers, size = 3, 6, 100
	stores := []store.Store{s.st, open(t, s.db)}
	for range rounds {
		clients := Clients(size)
		created := make([][]domain.CreateResult, writers)
		var all sync.WaitGroup
		for w := range writers {
			batch := slices.Clone(clients)
			if w%2 == 1 {
				slices.Reverse(batch)
			}
			all.Go(func() {
				var err error
				if created[w], err = stores[w%len(stores)].Create(t.Context(), batch); err != nil {
					t.Errorf("Create returned %v", err)
				}
			})
		}
		all.Wait()
		count := make(map[uuid.UUID]int)
		for _, r := range slices.Concat(created...) {
			switch r.Outcome {
			case domain.Created:
				count[r.Client.ID]++
			case domain.Replayed:
			default:
				t.Fatalf("outcome %d, want Created or Replayed", r.Outcome)
			}
		}
		for _, c := range clients {
			if count[c.ID] != 1 {
				t.Fatalf("client %s was created %d times", c.ID, count[c.ID])
			}
		}
	}
}

// cancelled cancels calls at different times.
func (s suite) cancelled(t *testing.T) {
	const rounds, step = 30, 100 * time.Microsecond
	for round := range rounds {
		clients := Clients(50)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(round)*step)
		results, err := s.st.Create(ctx, clients)
		cancel()
		switch {
		case err == nil && len(results) != len(clients):
			t.Fatalf("%d results for %d clients", len(results), len(clients))
		case err != nil && domain.CodeOf(err) != "":
			t.Fatalf("Create returned code %s: %v", domain.CodeOf(err), err)
		}
		again := create(t, s.st, clients...)
		for i, r := range again {
			if r.Outcome != again[0].Outcome || err == nil && r.Outcome != domain.Replayed {
				t.Fatalf("after %v: outcome %d of client %d, but %d of client 0", err, r.Outcome, i, again[0].Outcome)
			}
			wantResult(t, r, r.Outcome, clients[i])
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.st.Create(ctx, Clients(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Create returned %v, want %v", err, context.Canceled)
	}
	if _, err := s.st.Get(ctx, uuid.New()); !errors.Is(err, context.Canceled) {
		t.Errorf("Get returned %v, want %v", err, context.Canceled)
	}
	if err := s.st.Ready(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Ready returned %v, want %v", err, context.Canceled)
	}
}

func (s suite) deleted(t *testing.T) {
	gone, stays := newClient(), newClient()
	create(t, s.st, gone, stays)
	for range 2 { // deleting a missing client succeeds, too
		if err := s.st.Delete(t.Context(), gone.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.st.Get(t.Context(), gone.ID); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("the deleted one: %v", err)
	}
	if _, err := s.st.Get(t.Context(), stays.ID); err != nil {
		t.Errorf("the other one: %v", err)
	}
}

// pages uses a period in which no other test creates clients.
func (s suite) pages(t *testing.T) {
	from := time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)
	to := from.Add(time.Second)
	clients := Clients(7)
	for i := range clients {
		clients[i].CreatedAt = from.Add(time.Duration(i) * 200 * time.Millisecond) // the last two are at to or later
	}
	create(t, s.st, clients...)
	if n, err := s.st.Count(t.Context(), from, to); err != nil || n != 5 {
		t.Errorf("Count returned %d and %v, want 5", n, err)
	}
	var after uuid.UUID
	got := map[uuid.UUID]domain.Client{}
	for _, size := range []int{2, 2, 1, 0} {
		page, err := s.st.Page(t.Context(), from, to, after, 2)
		if err != nil || len(page) != size {
			t.Fatalf("a page of %d and %v, want %d", len(page), err, size)
		}
		for _, c := range page {
			if bytes.Compare(c.ID[:], after[:]) <= 0 {
				t.Errorf("%s comes after %s", c.ID, after)
			}
			after, got[c.ID] = c.ID, c
		}
	}
	for _, c := range clients[:5] {
		wantClient(t, got[c.ID], c)
	}
}

func (s suite) notFound(t *testing.T) {
	create(t, s.st, Clients(3)...)
	wantNotFound(t, s.st, uuid.New())
}

func (s suite) noSchema(t *testing.T) {
	st := open(t, s.fresh(t))
	wantSchemaError(t, st.Ready(t.Context()), 0)
	if _, err := st.Create(t.Context(), Clients(1)); err == nil || domain.CodeOf(err) != "" {
		t.Errorf("Create returned %v, want an error without a code", err)
	}
	if _, err := st.Get(t.Context(), uuid.New()); err == nil || domain.CodeOf(err) != "" {
		t.Errorf("Get returned %v, want an error without a code", err)
	}
	migrate(t, st)
	create(t, st, Clients(1)...)
}

func (s suite) migrateTwice(t *testing.T) {
	c := newClient()
	create(t, s.st, c)
	for _, again := range []store.Store{s.st, open(t, s.db)} {
		from, to, err := again.Migrate(t.Context())
		if err != nil || from != to || from == 0 {
			t.Errorf("Migrate returned %d, %d, %v", from, to, err)
		}
	}
	wantStored(t, s.st, c)
}

func (s suite) migrateAtOnce(t *testing.T) {
	const programs = 4
	db := s.fresh(t)
	start := make(chan struct{})
	var all sync.WaitGroup
	for range programs {
		st := open(t, db)
		all.Go(func() {
			<-start
			from, to, err := st.Migrate(t.Context())
			if err != nil || to == 0 || from > to {
				t.Errorf("Migrate returned %d, %d, %v", from, to, err)
			}
			if err := st.Ready(t.Context()); err != nil {
				t.Errorf("Ready returned %v", err)
			}
		})
	}
	close(start)
	all.Wait()
}

func (s suite) newerSchema(t *testing.T) {
	db := s.fresh(t)
	st := open(t, db)
	migrate(t, st)
	const newer = 1_000_000
	if err := db.Exec(fmt.Sprintf(`INSERT INTO clientele_schema (version_id, is_applied) VALUES (%d, TRUE)`, newer)); err != nil {
		t.Fatal(err)
	}
	wantSchemaError(t, st.Ready(t.Context()), newer)
	_, _, err := st.Migrate(t.Context())
	wantSchemaError(t, err, newer)
}

func (s suite) reopen(t *testing.T) {
	clients := Clients(2)
	for i, c := range clients {
		st, err := s.db.Open()
		if err != nil {
			t.Fatal(err)
		}
		create(t, st, c)
		for _, c := range clients[:i+1] {
			wantStored(t, st, c)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Create(t.Context(), Clients(1)); err == nil {
			t.Error("a closed store took a client")
		}
	}
}

func open(t *testing.T, db Database) store.Store {
	t.Helper()
	st, err := db.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func migrate(t *testing.T, st store.Store) {
	t.Helper()
	if _, _, err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := st.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// testingT is what *testing.T and *rapid.T have in common.
type testingT interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// create stores the clients and fails the test on an error.
func create(t testingT, st store.Store, clients ...domain.Client) []domain.CreateResult {
	t.Helper()
	results, err := st.Create(t.Context(), clients)
	if err != nil {
		t.Fatalf("Create returned %v", err)
	}
	if len(results) != len(clients) {
		t.Fatalf("%d results for %d clients", len(results), len(clients))
	}
	return results
}

func wantResult(t testingT, got domain.CreateResult, outcome domain.CreateOutcome, want domain.Client) {
	t.Helper()
	if got.Outcome != outcome {
		t.Errorf("outcome %d, want %d", got.Outcome, outcome)
	}
	wantClient(t, got.Client, want)
}

func wantStored(t testingT, st store.Store, want domain.Client) domain.Client {
	t.Helper()
	got, err := st.Get(t.Context(), want.ID)
	if err != nil {
		t.Fatalf("Get returned %v", err)
	}
	wantClient(t, got, want)
	return got
}

func wantClient(t testingT, got, want domain.Client) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("client\n%s %v %v %v, want\n%s %v %v %v",
			mustJSON(t, got), got.Fingerprint, got.AcceptedAt, got.CreatedAt,
			mustJSON(t, want), want.Fingerprint, want.AcceptedAt, want.CreatedAt)
	}
}

func wantNotFound(t *testing.T, st store.Store, id uuid.UUID) {
	t.Helper()
	if _, err := st.Get(t.Context(), id); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("Get returned %v, want code %s", err, domain.CodeNotFound)
	}
}

func wantSchemaError(t *testing.T, err error, have int64) {
	t.Helper()
	e, ok := errors.AsType[*store.SchemaError](err)
	if !ok || e.Have != have || e.Want == 0 || e.Want == have {
		t.Errorf("%v, want a SchemaError that has %d", err, have)
	}
}

func mustJSON(t testingT, c domain.Client) []byte {
	t.Helper()
	b, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
