package postgres_test

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"testing"

	"clientele/domain"
	"clientele/store/storetest"
)

// A client that exceeds a limit of the server, here the size of an index row, is refused for good (SQLSTATE class 54).
func TestAClientBeyondALimitOfTheServer(t *testing.T) {
	url := storetest.Postgres(t)
	s := migrated(t, url)
	if _, err := connect(t, url).Exec(t.Context(), `CREATE INDEX ON clients (key_id)`); err != nil {
		t.Fatal(err)
	}
	random := make([]byte, 9_000)
	_, _ = rand.Read(random) // never fails
	clients := storetest.Clients(3)
	clients[1].KeyID = base64.StdEncoding.EncodeToString(random)
	if results, err := s.Create(t.Context(), clients); domain.CodeOf(err) != domain.CodeUnstorable || results != nil {
		t.Errorf("Create returned %v, %v, want code %s", results, err, domain.CodeUnstorable)
	}
	mustCreate(t, s, slices.Delete(clients, 1, 2))
}
