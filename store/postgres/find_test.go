package postgres_test

import (
	"testing"

	"clientele/store/storetest"
)

func BenchmarkFind(b *testing.B) { storetest.BenchmarkFind(b, migrated(b, storetest.Postgres(b))) }

func BenchmarkTombstones(b *testing.B) {
	storetest.BenchmarkTombstones(b, migrated(b, storetest.Postgres(b)), migrated(b, storetest.Postgres(b)))
}

func BenchmarkIndexes(b *testing.B) {
	indexed := func(name, indexes string) storetest.Indexed {
		url := storetest.Postgres(b)
		s := migrated(b, url)
		if _, err := connect(b, url).Exec(b.Context(), indexes); err != nil {
			b.Fatal(err)
		}
		return storetest.Indexed{Name: name, Store: s}
	}
	const (
		email = `CREATE INDEX ON clients (lower(email_address COLLATE "C"));`
		name  = `CREATE INDEX ON clients (lower(last_name COLLATE "C"));`
		hash  = `CREATE INDEX ON clients (hashtextextended(lower(email_address COLLATE "C"), 0));`
	)
	storetest.BenchmarkIndexes(b, []storetest.Indexed{
		indexed("none", ``), indexed("email", email), indexed("email-hash", hash), indexed("email-name", email+name),
	})
}
