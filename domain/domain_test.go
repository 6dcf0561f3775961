package domain_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"clientele/domain"
)

// today is the current date of the tests.
var today = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// tb has the common methods of *testing.T, *testing.B and *rapid.T.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// testdata returns a file of testdata without its last newline.
func testdata(t tb, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(data, []byte("\n"))
}

// golden compares a value with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if want := testdata(t, name); !bytes.Equal(got, want) {
		t.Errorf("%s\n got %s\nwant %s", name, got, want)
	}
}

// secret is that of an installation.
const secret = "a secret"

// parse returns the details in a body that must be accepted.
func parse(t tb, body []byte) domain.Details {
	t.Helper()
	d, err := domain.Parse(body, today)
	if err != nil {
		t.Fatalf("Parse(%s): %v", body, err)
	}
	return d
}

// refuse returns the error for a body that must not be accepted.
func refuse(t tb, body string) *domain.Error {
	t.Helper()
	d, err := domain.Parse([]byte(body), today)
	e, ok := errors.AsType[*domain.Error](err)
	if !ok {
		t.Fatalf("Parse(%s) = %+v, %v, want an *Error", body, d, err)
	}
	return e
}

// command returns the command for the body.
func command(t tb, body []byte) domain.CreateClient {
	t.Helper()
	id := domain.KeyedID(secret, "crm", "order-1")
	c, err := domain.NewCreateClient(id, "crm", today, parse(t, body))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
