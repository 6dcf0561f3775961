package storetest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

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
