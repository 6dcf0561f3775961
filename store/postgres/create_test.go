package postgres_test

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store/postgres"
	"clientele/store/storetest"

	"github.com/google/uuid"
)

// A client that exceeds a limit of the server, here the size of an index row, is refused for good (SQLSTATE 54000).
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

// A server without transaction ids returns the same SQLSTATE for every write. That refuses no client, and no record.
func TestAServerWithoutTransactionIDs(t *testing.T) {
	server := storetest.StartPostgres(t)
	migrated(t, server.URL())
	server.Exhaust(t)
	s, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, created := s.Create(t.Context(), storetest.Clients(3))
	command := domain.CreateClient{ID: uuid.New(), AcceptedAt: domain.Timestamp(time.Now()), Body: []byte("{}")}
	recorded := s.RecordRejections(t.Context(), []domain.Rejection{{
		ID: command.ID.String(), Reason: domain.CodeInvalid, RejectedAt: command.AcceptedAt,
		Command: domain.RejectedCommand{Headers: domain.EncodeCommand(command, "").Header, Body: command.Body},
	}})
	for doing, err := range map[string]error{"Create": created, "RecordRejections": recorded} {
		if err == nil || !strings.Contains(err.Error(), "SQLSTATE 54000") || domain.CodeOf(err) != "" {
			t.Errorf("%s returned %v with code %q, want SQLSTATE 54000 without a code", doing, err, domain.CodeOf(err))
		}
	}
}
