package systemtest

import (
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

// The database is available and refuses a statement: because of other transactions, which passes, or because of its values.

// Another session inserts rows in a different order than the worker, which sorts them. PostgreSQL ends the deadlock by cancelling the
// worker's statement.
func TestADeadlock(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	s.Patient()
	// The session that detects a deadlock is cancelled. Each waiting session looks for one once, after this time.
	s.Preset("deadlock_timeout", "50ms")
	ingress := s.Clientele("ingress")
	operations := testcluster.PostTwenty(t, ingress.API())
	slices.Sort(operations)

	other, third := s.Session(), s.Session()
	s.Exec(other, `SET deadlock_timeout = '1min'`)
	s.Exec(other, `BEGIN`)
	s.Insert(other, operations[19])
	s.Exec(third, `BEGIN`)
	s.Insert(third, operations[10])
	worker := s.Clientele("worker") // inserts the first ten and waits for the third
	s.LocksHeld()
	inserted := make(chan struct{})
	go func() {
		defer close(inserted)
		s.Insert(other, operations[0]) // waits for the worker
	}()
	s.LockWaits(`pid = $1`, other.PgConn().PID())
	s.Exec(third, `ROLLBACK`) // lets the worker continue until it waits for the other session
	worker.Says("SQLSTATE 40P01")
	<-inserted
	s.Exec(other, `ROLLBACK`)
	s.Settled(ingress.API(), operations)
	s.DeliveredOnce()
}

// Under stricter isolation than the store asks for, a row that another session inserted is an error, which passes.
func TestASerialisationFailure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		isolation, end string
		fails          bool
	}{
		{"repeatable read", `COMMIT`, true},
		{"serializable", `COMMIT`, true},
		{"repeatable read", `ROLLBACK`, false},
	} {
		t.Run(c.isolation+" "+strings.ToLower(c.end), func(t *testing.T) {
			t.Parallel()
			s := testcluster.New(t)
			s.Patient()
			s.Preset("default_transaction_isolation", c.isolation)
			ingress := s.Clientele("ingress")
			operations := testcluster.PostTwenty(t, ingress.API())
			other := s.Session()
			s.Exec(other, `BEGIN`)
			s.Insert(other, operations[10])
			worker := s.Clientele("worker")
			s.LocksHeld()
			s.Exec(other, c.end)
			s.Settled(ingress.API(), operations)
			s.DeliveredOnce()
			if failed := strings.Contains(worker.Output(), "SQLSTATE 40001"); failed != c.fails {
				t.Errorf("serialisation failure: %t, want %t", failed, c.fails)
			}
		})
	}
}

// One row among many that the database refuses is one rejection. Neither its errors nor a log has a value of the row.
func TestTheDatabaseRefusesOneOfMany(t *testing.T) {
	t.Parallel()
	const n, bad = 500, 137
	s := testcluster.New(t)
	s.Exec(s.Session(), `ALTER TABLE clients ADD CONSTRAINT not_this CHECK (last_name <> 'Poison')`)
	ingress := s.Clientele("ingress")
	operations := make([]string, n)
	testcluster.Each(n, func(i int) {
		body := testcluster.Jane
		if i == bad {
			body = strings.Replace(testcluster.Jane, "Smith", "Poison", 1)
		}
		operations[i] = testcluster.Accepted(t, ingress.API(), body, "")
	})
	worker := s.Clientele("worker")
	publishertest.Eventually(t, "every command is acknowledged", s.Drained)

	stored := slices.Delete(slices.Clone(operations), bad, bad+1)
	if rows, of := s.Rows(), len(testcluster.Events(t, s.NATS.URL)); rows != n-1 || of != n-1 {
		t.Fatalf("%d rows and events of %d clients, want %d", rows, of, n-1)
	}
	s.SameEvents(ingress.API(), stored)
	rejected := testcluster.Messages(t, s.NATS.URL, domain.StreamRejections)
	if len(rejected) != 1 {
		t.Fatalf("%d rejections, want 1", len(rejected))
	}
	rejection, err := domain.ParseRejection(rejected[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	if rejection.Reason != domain.CodeUnstorable || !strings.HasSuffix(operations[bad], rejection.ID) || len(rejection.Errors) != 1 {
		t.Errorf("rejection %+v", rejection)
	}
	op := testcluster.Get(t, ingress.API()+operations[bad])
	if op.Object(t)["status"] != "failed" || !strings.Contains(op.Body, "23514 not_this") {
		t.Errorf("operation: %s", op.Body)
	}
	for _, value := range []string{"Poison", "Jane", "jsmith"} {
		if strings.Contains(op.Body+worker.Output()+ingress.Output(), value) {
			t.Errorf("%s is disclosed", value)
		}
	}
}
