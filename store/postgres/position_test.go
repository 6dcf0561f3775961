package postgres_test

import (
	"testing"

	"clientele/domain"
	"clientele/store/postgres"
	"clientele/store/storetest"

	"github.com/rs/zerolog"
)

// A promoted standby, and a database created in place of another, are other servers: a position of the former one is not stored.
func TestTheServerOfAPosition(t *testing.T) {
	t.Parallel()
	primary := storetest.StartPostgres(t)
	standby := primary.AsynchronousStandby(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: primary.URLWith(standby), Log: zerolog.Nop()})
	st := storetest.Migrated(t, db, err)
	_, former, err := st.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	standby.CatchUp(t, primary)
	primary.Stop(t, true)
	standby.Promote(t)
	old := domain.Position{Stream: "a stream", Sequence: 7, Server: former}
	for _, lostConnection := range []bool{true, false} {
		done, err := st.SetPosition(t.Context(), old)
		if done || err != nil && !lostConnection {
			t.Fatalf("SetPosition returned %v, %v for the server before", done, err)
		}
	}
	p, now, err := st.Position(t.Context())
	if err != nil || now == former || p != (domain.Position{}) {
		t.Errorf("the position is %+v on %q (%v), want none, and another server than %q", p, now, err, former)
	}
}
