package storetest

import (
	"testing"

	"clientele/domain"

	"github.com/google/uuid"
)

// position stores a position, and reads it in another program.
func (s suite) position(t *testing.T) {
	db := s.fresh(t)
	st := open(t, db)
	migrate(t, st)
	p, server, err := st.Position(t.Context())
	if err != nil || p != (domain.Position{}) || server == "" {
		t.Fatalf("a new database has the position %+v on %q (%v), want none", p, server, err)
	}
	want := domain.Position{Stream: "a stream", Sequence: 7, Server: server, Since: 5}
	if done, err := st.SetPosition(t.Context(), want); err != nil || !done {
		t.Fatalf("SetPosition returned %v, %v", done, err)
	}
	if p, again, err := open(t, db).Position(t.Context()); err != nil || p != want || again != server {
		t.Errorf("the position is %+v on %q (%v), want %+v on %q", p, again, err, want, server)
	}
}

// positionOfAFilledDatabase migrates a database with clients that had no position.
func (s suite) positionOfAFilledDatabase(t *testing.T) {
	db := s.fresh(t)
	st := open(t, db)
	migrate(t, st)
	create(t, st, newClient())
	for _, statement := range []string{`DROP TABLE redo_position`, `DELETE FROM clientele_migrations WHERE version_id > 4`} {
		if err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	migrate(t, st)
	if p, _, err := st.Position(t.Context()); err != nil || p.Sequence != domain.PositionEnd {
		t.Errorf("the position is %+v (%v), want the end", p, err)
	}
}

func (s suite) free(t *testing.T) {
	stored, gone, free := newClient(), newClient(), newClient()
	create(t, s.st, stored)
	erase(t, s.st, gone.ID)
	ids, err := s.st.Free(t.Context(), []uuid.UUID{stored.ID, free.ID, gone.ID})
	if err != nil || len(ids) != 1 || ids[0] != free.ID {
		t.Errorf("Free returned %v, %v, want %v", ids, err, free.ID)
	}
	if ids, err := s.st.Free(t.Context(), nil); err != nil || len(ids) != 0 {
		t.Errorf("Free of none returned %v, %v", ids, err)
	}
}
