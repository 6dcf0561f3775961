package postgres_test

import (
	"testing"
	"time"

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

const dropTimeIndex = `DROP INDEX clients_created_at`

// BenchmarkSchemaIndexes measures the cost of the indexes of the schema, as BenchmarkIndexes does for others.
func BenchmarkSchemaIndexes(b *testing.B) {
	without := func(name, drop string) storetest.Indexed {
		url := storetest.Postgres(b)
		s := migrated(b, url)
		if _, err := connect(b, url).Exec(b.Context(), drop); err != nil {
			b.Fatal(err)
		}
		return storetest.Indexed{Name: name, Store: s}
	}
	const dropCallerIndex = `DROP INDEX clients_caller`
	storetest.BenchmarkIndexes(b, []storetest.Indexed{
		without("none", dropTimeIndex+";"+dropCallerIndex), without("time", dropCallerIndex), without("time-caller", ``),
	})
}

// BenchmarkCount counts a hundredth of 1,000,000 rows with and without the index on the time of creation.
func BenchmarkCount(b *testing.B) {
	url := storetest.Postgres(b)
	s := migrated(b, url)
	const n = 1_000_000
	seconds(b, url, n)
	count := func(b *testing.B) {
		b.Helper()
		for b.Loop() {
			from := time.Unix(n/2, 0)
			if counted, err := s.Count(b.Context(), from, from.Add(n/100*time.Second)); err != nil || counted != n/100 {
				b.Fatalf("Count returned %d and %v", counted, err)
			}
		}
	}
	b.Run("time", count)
	if _, err := connect(b, url).Exec(b.Context(), dropTimeIndex); err != nil {
		b.Fatal(err)
	}
	b.Run("none", count)
}
