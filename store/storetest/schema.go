package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
)

func (s suite) noSchema(t *testing.T) {
	st := open(t, s.fresh(t))
	wantSchemaError(t, st.Ready(t.Context()), 0)
	if _, err := st.Create(t.Context(), Clients(1)); err == nil || domain.CodeOf(err) != "" {
		t.Errorf("Create returned %v, want an error without a code", err)
	}
	if _, err := st.Get(t.Context(), uuid.New()); err == nil || domain.CodeOf(err) != "" {
		t.Errorf("Get returned %v, want an error without a code", err)
	}
	migrate(t, st)
	create(t, st, Clients(1)...)
}

func (s suite) migrateTwice(t *testing.T) {
	c := newClient()
	create(t, s.st, c)
	for _, again := range []store.Store{s.st, open(t, s.db)} {
		from, to, err := again.Migrate(t.Context())
		if err != nil || from != to || from == 0 {
			t.Errorf("Migrate returned %d, %d, %v", from, to, err)
		}
	}
	wantStored(t, s.st, c)
}

func (s suite) migrateAtOnce(t *testing.T) {
	const programs = 4
	db := s.fresh(t)
	start := make(chan struct{})
	var all sync.WaitGroup
	for range programs {
		st := open(t, db)
		all.Go(func() {
			<-start
			from, to, err := st.Migrate(t.Context())
			if err != nil || to == 0 || from > to {
				t.Errorf("Migrate returned %d, %d, %v", from, to, err)
			}
			if err := st.Ready(t.Context()); err != nil {
				t.Errorf("Ready returned %v", err)
			}
		})
	}
	close(start)
	all.Wait()
}

func (s suite) newerSchema(t *testing.T) {
	db := s.fresh(t)
	st := open(t, db)
	migrate(t, st)
	const newer = 1_000_000
	applied := func(table string) {
		t.Helper()
		if err := db.Exec(fmt.Sprintf(`INSERT INTO %s (version_id, is_applied) VALUES (%d, TRUE)`, table, newer)); err != nil {
			t.Fatal(err)
		}
	}
	applied(store.MigrationsTable)
	if err := st.Ready(t.Context()); err != nil {
		t.Errorf("a newer schema that older programs can use: %v", err)
	}
	if from, to, err := st.Migrate(t.Context()); from != newer || to != newer || err != nil {
		t.Errorf("Migrate returned %d, %d, %v", from, to, err)
	}
	create(t, st, Clients(1)...)

	applied(store.SchemaTable)
	wantSchemaError(t, st.Ready(t.Context()), newer)
	_, _, err := st.Migrate(t.Context())
	wantSchemaError(t, err, newer)
}

func (s suite) reopen(t *testing.T) {
	clients := Clients(2)
	for i, c := range clients {
		st, err := s.db.Open()
		if err != nil {
			t.Fatal(err)
		}
		create(t, st, c)
		for _, c := range clients[:i+1] {
			wantStored(t, st, c)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Create(t.Context(), Clients(1)); err == nil {
			t.Error("a closed store took a client")
		}
	}
}

func wantSchemaError(t *testing.T, err error, have int64) {
	t.Helper()
	e, ok := errors.AsType[*store.SchemaError](err)
	if !ok || e.Have != have || e.Want == 0 || e.Want == have {
		t.Errorf("%v, want a SchemaError that has %d", err, have)
	}
}
