package sqlite_test

import (
	"path/filepath"
	"testing"

	"clientele/store/storetest"
)

func BenchmarkFind(b *testing.B) {
	storetest.BenchmarkFind(b, migrated(b, filepath.Join(b.TempDir(), "clientele.db")))
}

func BenchmarkTombstones(b *testing.B) {
	storetest.BenchmarkTombstones(b, migrated(b, filepath.Join(b.TempDir(), "clientele.db")), migrated(b, filepath.Join(b.TempDir(), "clientele.db")))
}

func BenchmarkIndexes(b *testing.B) {
	indexed := func(name, indexes string) storetest.Indexed {
		s := migrated(b, filepath.Join(b.TempDir(), "clientele.db"))
		if _, err := s.Writer().Exec(indexes); err != nil {
			b.Fatal(err)
		}
		return storetest.Indexed{Name: name, Store: s}
	}
	const (
		email = `CREATE INDEX clients_email ON clients (lower(email_address));`
		name  = `CREATE INDEX clients_name ON clients (lower(last_name));`
	)
	storetest.BenchmarkIndexes(b, []storetest.Indexed{
		indexed("none", `DROP INDEX clients_caller`), indexed("caller", ``), indexed("caller-email", email), indexed("caller-email-name", email+name),
	})
}
