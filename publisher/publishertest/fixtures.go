package publishertest

import (
	"testing"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

// NewID returns an unused id.
func NewID(t testing.TB) uuid.UUID {
	t.Helper()
	id, err := domain.NewID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Command returns a command with this id. Different last names make different commands.
func Command(t testing.TB, id uuid.UUID, lastName string) domain.CreateClient {
	t.Helper()
	c, err := domain.NewCreateClient(id, "tester", time.Now(), domain.Details{
		FirstName: "Jane", LastName: lastName, EmailAddress: "jsmith@example.com",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Eventually waits until the condition is true, and fails the test after a minute.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatal("not within a minute: " + what)
		case <-tick.C:
		}
	}
}
