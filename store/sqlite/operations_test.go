package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"

	"clientele/store/sqlite"
)

// TestAListIsReadByItsIndexes looks at the plan of a list: each branch finds the rows of its status, and in their order.
func TestAListIsReadByItsIndexes(t *testing.T) {
	s := migrated(t, filepath.Join(t.TempDir(), "clientele.db"))
	rows, err := s.Readers().Query(`EXPLAIN QUERY PLAN `+sqlite.SelectOperations, "caller", "failed", 0, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for search, n := range map[string]int{
		"clients USING INDEX clients_caller (caller=? AND":                    1,
		"rejections USING INDEX rejections_caller (caller=? AND status=? AND": 2,
		"TEMP B-TREE":  1, // for the whole, of at most three times n rows
		"SCAN clients": 0, "SCAN rejections": 0,
	} {
		if strings.Count(plan.String(), search) != n {
			t.Errorf("%q not %d times in\n%s", search, n, plan.String())
		}
	}
}
