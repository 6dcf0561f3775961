package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"
	"unicode"

	"clientele/domain"
	"clientele/store"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// Clients returns n different clients, created now, with the members that most callers send.
func Clients(n int) []domain.Client {
	clients := make([]domain.Client, n)
	for i := range clients {
		clients[i] = newClient()
	}
	return clients
}

// Migrated returns the store of a call of Open, with its schema. The store is closed after the test.
func Migrated[S store.Store](t testing.TB, s S, err error) S {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Benchmark measures Create with batches of 1 and of 256.
func Benchmark(b *testing.B, st store.Store) {
	for _, size := range []int{1, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			clients := Clients(size)
			for b.Loop() {
				for i := range clients {
					clients[i].ID = uuid.Must(domain.NewID())
				}
				if _, err := st.Create(context.Background(), clients); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(size)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func newClient() domain.Client {
	id := uuid.Must(domain.NewID())
	c := domain.Client{
		ID: id,
		Details: domain.Details{
			FirstName:       "Jane",
			LastName:        "Smith",
			EmailAddress:    id.String() + "@example.com",
			TelephoneNumber: new("+442079460958"),
			Address:         &domain.Address{Line1: "10 Downing Street", PostTown: new("London"), Postcode: "SW1A 2AA"},
		},
		Status:     domain.StatusNotInvited,
		Caller:     "oidc:caller",
		KeyID:      "jnm3d5p7",
		AcceptedAt: domain.Timestamp(time.Now()),
		CreatedAt:  domain.Timestamp(time.Now().Add(time.Millisecond)),
	}
	_, _ = rand.Read(c.Fingerprint[:]) // never fails
	return c
}

// other returns a client with the same id from another command.
func other(c domain.Client) domain.Client {
	o := newClient()
	o.ID = c.ID
	return o
}

func fullDetails() domain.Details {
	return domain.Details{
		FirstName:                "Jane",
		LastName:                 "Smith",
		EmailAddress:             "jane@example.com",
		Title:                    new("Dr"),
		MiddleName:               new("Q"),
		CompanyName:              new("Smith & Daughters"),
		TelephoneNumber:          new("+442079460958"),
		AltTelephoneNumber:       new("+442079460959"),
		Pronouns:                 new("she/her"),
		CommunicationPreferences: &domain.CommunicationPreferences{Email: true, SMS: true},
		AvatarURL:                new("https://example.com/jane.png"),
		DOB:                      new("1985-10-26"),
		Nationality:              new("British"),
		NINumber:                 new("AB123456C"),
		Occupation:               new("Engineer"),
		Address: &domain.Address{
			Line1:    "Flat 1",
			Line2:    new("10 Downing Street"),
			Line3:    new("Westminster"),
			PostTown: new("London"),
			County:   new("Greater London"),
			Postcode: "SW1A 2AA",
			UPRN:     new("100023336956"),
		},
	}
}

// drawClient draws a client that the ingress would accept.
func drawClient(t *rapid.T) domain.Client {
	// A third of the limit: normalising may expand one character to three.
	text := rapid.Map(rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return !unicode.IsControl(r) }), 0, 80, -1),
		func(s string) string { return "x" + s })
	mail := rapid.StringMatching(`[a-z0-9]{1,20}(\.[a-z0-9+-]{1,20})?@[a-z]{1,20}\.[a-z]{2,10}`)
	phone := rapid.SampledFrom([]string{"+442079460958", "+353871234567", "+12025550123", "+498912345678"})
	date := rapid.Map(rapid.IntRange(0, 738_000), func(days int) string {
		return time.Date(1, 1, 1+days, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	})
	body := map[string]any{
		"firstName":    text.Draw(t, "firstName"),
		"lastName":     text.Draw(t, "lastName"),
		"emailAddress": mail.Draw(t, "emailAddress"),
	}
	maybe := func(in map[string]any, name string, value *rapid.Generator[string]) {
		if p := rapid.Ptr(value, true).Draw(t, name); p != nil {
			in[name] = *p
		}
	}
	for _, name := range []string{"title", "middleName", "companyName", "pronouns", "nationality", "occupation"} {
		maybe(body, name, text)
	}
	maybe(body, "telephoneNumber", phone)
	maybe(body, "altTelephoneNumber", phone)
	maybe(body, "dob", date)
	maybe(body, "avatarUrl", rapid.StringMatching(`https?://[a-z]{1,20}\.[a-z]{2,5}/[a-zA-Z0-9/?&=_-]{0,50}`))
	maybe(body, "niNumber", rapid.StringMatching(`(AB|JG|sr) ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-Da-d]`))
	if rapid.Bool().Draw(t, "communicationPreferences") {
		preferences := make(map[string]bool)
		for _, name := range []string{"email", "phone", "sms", "post"} {
			preferences[name] = rapid.Bool().Draw(t, name)
		}
		body["communicationPreferences"] = preferences
	}
	if rapid.Bool().Draw(t, "address") {
		address := map[string]any{"line_1": text.Draw(t, "line_1"), "postcode": text.Draw(t, "postcode")}
		for _, name := range []string{"line_2", "line_3", "post_town", "county"} {
			maybe(address, name, text)
		}
		maybe(address, "uprn", rapid.StringMatching(`[0-9]{1,12}`))
		body["address"] = address
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	details, err := domain.Parse(b, now)
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	command, err := domain.NewCreateClient(uuid.Must(domain.NewID()), "caller", now, details)
	if err != nil {
		t.Fatal(err)
	}
	return command.Client(now)
}
