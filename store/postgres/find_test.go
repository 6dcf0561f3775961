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

// BenchmarkTimeIndex measures the cost of the index on the time of creation, and BenchmarkCount what it is for.
func BenchmarkTimeIndex(b *testing.B) { storetest.BenchmarkIndexes(b, timeIndex(b)) }

func BenchmarkCount(b *testing.B) { storetest.BenchmarkCount(b, timeIndex(b)) }

// timeIndex returns a table without and one with the index on the time of creation.
func timeIndex(b *testing.B) []storetest.Indexed {
	b.Helper()
	url := storetest.Postgres(b)
	without := migrated(b, url)
	if _, err := connect(b, url).Exec(b.Context(), `DROP INDEX clients_created_at`); err != nil {
		b.Fatal(err)
	}
	with := migrated(b, storetest.Postgres(b))
	return []storetest.Indexed{{Name: "none", Store: without}, {Name: "time", Store: with}}
}
