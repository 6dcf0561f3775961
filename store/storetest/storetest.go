// Package storetest tests implementations of store.Store against its contract, and starts real PostgreSQL servers for tests.
package storetest

import (
	"testing"

	"clientele/store"
)

// Database is a database that is empty at first.
type Database struct {
	// Open returns a store on the database, as if in a separate program. The suite closes it.
	Open func() (store.Store, error)
	// Exec runs a statement without using a store.
	Exec func(statement string) error
}

// Run tests a store against the contract. Each call of fresh returns another database.
func Run(t *testing.T, fresh func(t *testing.T) Database) {
	s := suite{fresh: fresh, db: fresh(t)}
	s.st = open(t, s.db)
	migrate(t, s.st)
	for name, test := range map[string]func(*testing.T){
		"a client is returned unchanged":                       s.roundTrip,
		"any command is returned unchanged":                    s.anyCommand,
		"results are in the order of the clients":              s.order,
		"a replay returns the existing client":                 s.replay,
		"a conflict changes nothing":                           s.conflict,
		"a batch may mix the three":                            s.mixed,
		"of equal ids in a batch the first is created":         s.equalIDs,
		"an empty batch needs no database":                     s.empty,
		"a batch may be large":                                 s.large,
		"one unstorable client fails its batch":                s.unstorable,
		"an unstorable replay is a replay":                     s.unstorableReplay,
		"concurrent batches may overlap":                       s.overlap,
		"a cancelled batch is stored completely or not at all": s.cancelled,
		"an unknown id is not found":                           s.notFound,
		"clients can be read by their ids":                     s.getAll,
		"an erased client is not found":                        s.erased,
		"an erased id is never created again":                  s.erasedForGood,
		"an erasure and a batch may overlap":                   s.erasedMeanwhile,
		"a held client is not erased":                          s.held,
		"a hold and an erasure may overlap":                    s.heldMeanwhile,
		"operations are listed by caller":                      s.operations,
		"operations are listed since any time":                 s.operationsSince,
		"an operation with a client succeeded":                 s.operationOfAClient,
		"records of rejections that are no operation":          s.recordNothing,
		"records that the database refuses are skipped":        s.recordRefused,
		"callers of an earlier version may be long":            s.longCallers,
		"the oldest records of rejections are trimmed":         s.trimRejections,
		"workers may trim and record rejections at once":       s.trimMeanwhile,
		"workers may record the same rejections at once":       s.recordMeanwhile,
		"clients can be paged by time of creation":             s.pages,
		"all clients can be copied to another database":        s.exportLoad,
		"an export is one snapshot":                            s.exportSnapshot,
		"loading is all or nothing":                            s.loadRefused,
		"clients can be found by e-mail and name":              s.find,
		"Find finds no erased client":                          s.findErased,
		"a position outlives the store":                        s.position,
		"a filled database is at the end":                      s.positionOfAFilledDatabase,
		"an id is free without a client and a tombstone":       s.free,
		"a database describes itself":                          s.describe,
		"a store without a schema returns a SchemaError":       s.noSchema,
		"migrating twice does nothing":                         s.migrateTwice,
		"several programs may migrate at once":                 s.migrateAtOnce,
		"a newer schema is not changed":                        s.newerSchema,
		"stored clients outlive the store":                     s.reopen,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

type suite struct {
	fresh func(*testing.T) Database
	// db is shared by the tests that need only unique ids. It has the schema. st is a store on it.
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
