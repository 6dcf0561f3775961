package storetest

import (
	"bytes"
	"cmp"
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
)

// find uses its own database, so that no other test's clients match.
func (s suite) find(t *testing.T) {
	st := open(t, s.fresh(t))
	migrate(t, st)
	clients := Clients(6)
	for i, names := range []store.Names{
		{Email: "Jane@example.com", First: "Jane", Last: "Smith"},
		{Email: "jane@example.com", First: "Jane", Middle: "Mary", Last: "Smythe"},
		{Email: "łukasz@müller.example", First: "Łukasz", Last: "Müller"},
		{Email: "mueller@example.com", First: "MULLER", Last: "Émile"},
		{Email: "li@example.com", First: "小龙", Last: "李"},
		{Email: "100%_@example.com", First: `O’Brien "\"; --`, Last: "%"},
	} {
		c := &clients[i]
		c.EmailAddress, c.FirstName, c.LastName = names.Email, names.First, names.Last
		if names.Middle != "" {
			c.MiddleName = &names.Middle
		}
	}
	create(t, st, clients...)
	for name, test := range map[string]struct {
		query store.Query
		want  []int
	}{
		"nothing":                         {store.Query{}, nil},
		"an e-mail address":               {store.Query{Email: "JANE@EXAMPLE.COM"}, []int{0, 1}},
		"an e-mail address outside ASCII": {store.Query{Email: "ŁUKASZ@MÜLLER.example"}, []int{2}},
		"an e-mail address that is none":  {store.Query{Email: "%"}, nil},
		"a name":                          {store.Query{Name: "smith jane"}, []int{0}},
		"the beginning of a name":         {store.Query{Name: "Sm"}, []int{0, 1}},
		"a middle name":                   {store.Query{Name: "mary"}, []int{1}},
		"a name without its accents":      {store.Query{Name: "muller"}, []int{2, 3}},
		"a name with its accents":         {store.Query{Name: "ÉMILE MÜLLER"}, []int{3}},
		"a name in another script":        {store.Query{Name: "李"}, []int{4}},
		"a name with an apostrophe":       {store.Query{Name: "o'brien"}, []int{5}},
		"a pattern":                       {store.Query{Name: "J%"}, []int{0, 1}},
		"both":                            {store.Query{Email: "jane@example.com", Name: "Mary"}, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			got, total, err := st.Find(t.Context(), test.query, len(clients))
			if err != nil || len(got) != len(test.want) || total != len(test.want) {
				t.Fatalf("Find returned %d clients of %d and %v, want %d", len(got), total, err, len(test.want))
			}
			for i, c := range got {
				wantClient(t, c, clients[test.want[i]])
			}
		})
	}
	for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 2} {
		got, total, err := st.Find(t.Context(), store.Query{Name: "jane"}, n)
		if err != nil || len(got) != want || total != 2 {
			t.Errorf("the first %d: Find returned %d clients of %d and %v", n, len(got), total, err)
		}
	}
	// A store that does not sort would return clients in the order in which it stored them.
	later := Clients(20)
	for i := range later {
		later[i].LastName = "Order"
	}
	shuffled := slices.Clone(later)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for _, c := range shuffled {
		create(t, st, c)
	}
	slices.SortFunc(later, func(a, b domain.Client) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	got, _, err := st.Find(t.Context(), store.Query{Name: "order"}, len(later)-1)
	if err != nil || len(got) != len(later)-1 {
		t.Fatalf("Find returned %d clients and %v", len(got), err)
	}
	for i, c := range got {
		wantClient(t, c, later[i])
	}
}

func (s suite) findErased(t *testing.T) {
	c := newClient()
	create(t, s.st, c)
	for want := 1; want >= 0; want-- {
		if _, total, err := s.st.Find(t.Context(), store.Query{Email: c.EmailAddress}, 1); err != nil || total != want {
			t.Errorf("Find found %d and %v, want %d", total, err, want)
		}
		erase(t, s.st, c.ID)
	}
}

// rows returns the number of rows in the tables of the benchmarks below.
func rows(b *testing.B) int {
	b.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("BENCH_ROWS"), "100000"))
	if err != nil || n < batch {
		b.Fatalf("BENCH_ROWS must be a number, at least %d", batch)
	}
	return n
}

// batch is the number of clients that the benchmarks below create at once.
const batch = 500

// people returns a batch of clients whose names and addresses are unsorted, as in production.
func people() []domain.Client {
	clients := Clients(batch)
	for i := range clients {
		c := &clients[i]
		c.FirstName, c.LastName = "Jane"+strconv.Itoa(rand.IntN(1_000)), strconv.FormatInt(rand.Int64N(1<<40), 36)
		c.EmailAddress = strconv.FormatInt(rand.Int64(), 36) + "@example.com"
	}
	return clients
}

func fill(b *testing.B, st store.Store, n int) {
	b.Helper()
	for range n / batch {
		if _, err := st.Create(context.Background(), people()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFind measures Find on a table of BENCH_ROWS rows.
func BenchmarkFind(b *testing.B, st store.Store) {
	n := rows(b)
	fill(b, st, n)
	for name, q := range map[string]store.Query{
		"email": {Email: "jane.smith@example.com"}, "name": {Name: "Jane Smith"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := st.Find(context.Background(), q, 1); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// Indexed is a store whose table has additional indexes.
type Indexed struct {
	Name  string
	Store store.Store
}

// BenchmarkTombstones measures the cost of n tombstones for Create, as BenchmarkIndexes does for indexes. Both stores are empty.
func BenchmarkTombstones(b *testing.B, without, with store.Store) {
	const n = 100_000
	tombstones := make([]domain.Erasure, n)
	for i := range tombstones {
		tombstones[i] = domain.NewErasure(uuid.New(), time.Now(), "requested by the client", "operator")
	}
	if _, err := with.Load(b.Context(), all(nil), store.Marks{Erasures: tombstones}); err != nil {
		b.Fatal(err)
	}
	BenchmarkIndexes(b, []Indexed{{Name: "0", Store: without}, {Name: strconv.Itoa(n), Store: with}})
}

// BenchmarkIndexes measures the cost of indexes for Create. It creates the same clients in each store in turn. Each table has
// BENCH_ROWS rows. It reports the speed of each store as a multiple of the first store's.
func BenchmarkIndexes(b *testing.B, stores []Indexed) {
	n := rows(b)
	for _, s := range stores {
		fill(b, s.Store, n)
	}
	took := make([]time.Duration, len(stores))
	for i := 0; b.Loop(); i++ {
		clients := people()
		for j := range stores {
			turn := (i + j) % len(stores)
			for k := range clients {
				clients[k].ID = uuid.Must(domain.NewID())
			}
			began := time.Now()
			if _, err := stores[turn].Store.Create(context.Background(), clients); err != nil {
				b.Fatal(err)
			}
			took[turn] += time.Since(began)
		}
	}
	b.ReportMetric(0, "ns/op") // it would be the total of all stores
	b.ReportMetric(float64(b.N)*batch/took[0].Seconds(), "rows/s-"+stores[0].Name)
	for i, s := range stores[1:] {
		b.ReportMetric(took[0].Seconds()/took[i+1].Seconds(), "x-"+s.Name)
	}
}
