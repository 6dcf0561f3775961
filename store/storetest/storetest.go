// Package storetest defines the contract of store.Store by tests, which every implementation passes, and starts the
// real PostgreSQL servers that tests need.
package storetest

import (
	"testing"

	"clientele/store"
)

// Database is a database that was empty in the beginning.
type Database struct {
	// Open returns a store on the database. Each is used as if it were in a program of its own. The suite closes it.
	Open func() (store.Store, error)
	// Exec runs a statement behind the stores' back.
	Exec func(statement string) error
}

// Run checks a store against the contract. Each call of fresh returns another database.
func Run(t *testing.T, fresh func(t *testing.T) Database) {
	s := suite{fresh: fresh, db: fresh(t)}
	s.st = open(t, s.db)
	migrate(t, s.st)
	for name, test := range map[string]func(*testing.T){
		"a client comes back as it was":                         s.roundTrip,
		"any command comes back as it was":                      s.anyCommand,
		"results are in the order of the clients":               s.order,
		"a replay returns what is there":                        s.replay,
		"a conflict changes nothing":                            s.conflict,
		"a batch may mix the three":                             s.mixed,
		"of equal ids in a batch the first is first":            s.equalIDs,
		"an empty batch is nothing to do":                       s.empty,
		"a batch may be large":                                  s.large,
		"one unstorable client holds up its batch":              s.unstorable,
		"an unstorable replay is a replay":                      s.unstorableReplay,
		"batches that overlap do not disturb one another":       s.overlap,
		"a cancelled batch is stored whole or not":              s.cancelled,
		"an unknown id is not found":                            s.notFound,
		"a deleted client is gone":                              s.deleted,
		"clients can be paged by when they were created":        s.pages,
		"all clients come out of one database and into another": s.exportLoad,
		"an export is of one moment":                            s.exportSnapshot,
		"loading is all or nothing":                             s.loadRefused,
		"clients can be found by e-mail and name":               s.find,
		"a client that is deleted is not found":                 s.findDeleted,
		"a store without a schema says so":                      s.noSchema,
		"migrating twice does nothing":                          s.migrateTwice,
		"several programs may migrate at once":                  s.migrateAtOnce,
		"a newer schema is left alone":                          s.newerSchema,
		"what was stored outlives the store":                    s.reopen,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

type suite struct {
	fresh func(*testing.T) Database
	// db is for the tests that only need ids of their own, st a store on it. It has its schema.
	db Database
	st store.Store
}

func open(t *testing.T, db Database) store.Store {
	t.Helper()
	st, err := db.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func migrate(t *testing.T, st store.Store) {
	t.Helper()
	if _, _, err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := st.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}
