package storetest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"
	"clientele/store/storetest"

	"github.com/google/uuid"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// FuzzStored checks that both databases store every client that Parse accepts, and return it unchanged. Any other client would
// be rejected after its 202.
func FuzzStored(f *testing.F) {
	sqliteStore, err := sqlite.Open(f.Context(), sqlite.Config{Path: filepath.Join(f.TempDir(), "clientele.db")})
	if err != nil {
		f.Fatal(err)
	}
	postgresStore, err := postgres.Open(f.Context(), postgres.Config{URL: storetest.Postgres(f), MaxConns: 1})
	if err != nil {
		f.Fatal(err)
	}
	stores := map[string]store.Store{"SQLite": sqliteStore, "PostgreSQL": postgresStore}
	for name, st := range stores {
		f.Cleanup(func() {
			if err := st.Close(); err != nil {
				f.Error(name, err)
			}
		})
		if _, _, err := st.Migrate(f.Context()); err != nil {
			f.Fatal(name, err)
		}
	}

	const required = `"firstName":"Jane","lastName":"Smith","emailAddress":"jane@example.com"`
	for _, member := range []string{
		`"title":"\ufeff\ufffd\uffff\ud83d\ude00\ue000"`, `"title":"{NULL}"`, `"title":"a\\N\\000b\"'$1?;--"`, `"title":"\u200b"`,
		`"title":"` + strings.Repeat("😀", 255) + `"`, `"title":"\u0000"`, `"title":""`, `"title":null`,
		`"dob":"0001-01-01"`, `"dob":"1582-10-10"`, `"dob":"1900-02-28"`, `"dob":"2024-02-29"`, `"dob":"2026-02-28"`,
		`"dob":"0000-12-31"`, `"dob":"2024-02-30"`, `"dob":" 1999-12-31 "`,
		`"communicationPreferences":{}`, `"communicationPreferences":{"email":true,"phone":false,"sms":true,"post":false}`,
		`"address":{"line_1":"1","postcode":"sw1a2aa"}`,
		`"address":{"line_1":"1","line_2":"2","line_3":"3","post_town":"4","county":"5","postcode":"6","uprn":"000000000007"}`,
		`"telephoneNumber":"+442079460958","altTelephoneNumber":"+12025550123","niNumber":"ab123456c","pronouns":"she/her"`,
		`"middleName":"Q","companyName":"Smith & Co","nationality":"British","occupation":"Engineer"`,
		`"avatarUrl":"https://[::1]:80/%41?a=b#c"`,
	} {
		f.Add([]byte("{" + required + "," + member + "}"))
	}
	f.Add([]byte(`{"firstName":"e\u0301","lastName":"\u1100\u1161","emailAddress":"\"a b\"@[127.0.0.1]"}`))

	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		details, err := domain.Parse(body, now)
		if err != nil {
			return
		}
		command, err := domain.NewCreateClient(uuid.New(), "caller", now, details)
		if err != nil {
			t.Fatal(err)
		}
		for name, st := range stores {
			unchanged(t, name, st, command.Client(now))
		}
	})
}

// unchanged stores a client and checks that the store returns it unchanged.
func unchanged(t *testing.T, name string, st store.Store, want domain.Client) {
	t.Helper()
	record, err := want.JSON()
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, got domain.Client) {
		t.Helper()
		body, err := got.JSON()
		if err != nil || !bytes.Equal(body, record) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s returned\n     %s (%v), %+v\nwant %s, %+v", name, what, body, err, got, record, want)
		}
	}
	again := want
	again.CreatedAt = want.CreatedAt.Add(time.Second)
	for _, call := range []struct {
		name    string
		client  domain.Client
		outcome domain.CreateOutcome
	}{{"creating", want, domain.Created}, {"replaying", again, domain.Replayed}} {
		results, err := st.Create(t.Context(), []domain.Client{call.client})
		if err != nil {
			t.Fatalf("%s: %s: %v\n%s", name, call.name, err, record)
		}
		if results[0].Outcome != call.outcome {
			t.Errorf("%s: %s has outcome %d, want %d", name, call.name, results[0].Outcome, call.outcome)
		}
		check(call.name, results[0].Client)
	}
	got, err := st.Get(t.Context(), want.ID)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, record)
	}
	check("Get", got)
}
