package storetest

import (
	"context"
	"reflect"
	"testing"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
)

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

func mustJSON(t testingT, c domain.Client) []byte {
	t.Helper()
	b, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
