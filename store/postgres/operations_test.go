package postgres_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"clientele/domain"
	"clientele/store/postgres"
	"clientele/store/storetest"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// TestAListIsReadByItsIndexes lists the operations of a caller that has many, most of them with another status.
func TestAListIsReadByItsIndexes(t *testing.T) {
	url := storetest.Postgres(t)
	migrated(t, url)
	conn := connect(t, url)
	for _, statement := range []string{
		`INSERT INTO clients (id, first_name, last_name, email_address, status, fingerprint, accepted_at, created_at, caller)
			SELECT gen_random_uuid(), 'Jane', 'Smith', 'jsmith@example.com', 'NotInvited', sha256(''), at, at, 'caller'
			FROM generate_series(1, 20000) AS second, to_timestamp(second) AS at`,
		`INSERT INTO rejections (id, caller, status, accepted_at, rejected_at)
			SELECT gen_random_uuid(), 'caller', CASE WHEN second > 19950 THEN 'failed' ELSE 'rejected' END, at, at
			FROM generate_series(1, 20000) AS second, to_timestamp(second) AS at`,
		`VACUUM ANALYZE clients, rejections`,
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), `PREPARE list (text, text, timestamptz, uuid, bigint) AS `+postgres.SelectOperations); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} { // the server chooses after five executions
		if _, err := conn.Exec(t.Context(), `SET plan_cache_mode = `+mode); err != nil {
			t.Fatal(err)
		}
		for _, status := range []domain.OperationStatus{"", domain.OperationSucceeded, domain.OperationRejected, domain.OperationFailed} {
			wantFewBlocks(t, conn, status)
		}
	}
}

// wantFewBlocks checks how many blocks the server reads for the first operations with this status.
func wantFewBlocks(t *testing.T, conn *pgx.Conn, status domain.OperationStatus) {
	t.Helper()
	var text []byte
	err := conn.QueryRow(t.Context(), fmt.Sprintf(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
		EXECUTE list ('caller', '%s', '1970-01-01', '%s', 10)`, status, uuid.Nil)).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	var plans []struct {
		Plan struct {
			Rows int `json:"Actual Rows"`
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		} `json:"Plan"`
	}
	if err := json.Unmarshal(text, &plans); err != nil {
		t.Fatal(err)
	}
	if plan := plans[0].Plan; plan.Rows != 10 || plan.Hit+plan.Read > 200 {
		t.Errorf("%q: %d rows from %d blocks: %s", status, plan.Rows, plan.Hit+plan.Read, text)
	}
}
