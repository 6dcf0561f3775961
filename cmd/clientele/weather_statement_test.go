package main

import (
	"context"
	"path"
	"slices"
	"strings"
	"testing"

	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/jackc/pgx/v5"
)

// The database is there, and refuses a statement: for what others are doing, which passes, or for what it holds.

// insert inserts, in the session's transaction, the row that a command on the log stands for.
func (s *site) insert(session *pgx.Conn, operation string) {
	s.t.Helper()
	ctx := context.Background()
	commands, err := s.js.Stream(ctx, domain.StreamCommands)
	if err != nil {
		s.t.Fatal(err)
	}
	command, err := commands.GetLastMsgForSubject(ctx, domain.SubjectCreate+path.Base(operation))
	if err != nil {
		s.t.Fatal(err)
	}
	s.exec(session, `INSERT INTO clients (id, first_name, last_name, email_address, status, fingerprint, accepted_at, created_at)
		VALUES ($1, 'Jane', 'Smith', 'jsmith@example.com', 'NotInvited', decode($2, 'hex'), $3::text::timestamptz, now())`,
		path.Base(operation), command.Header.Get(domain.HeaderFingerprint), command.Header.Get(domain.HeaderAcceptedAt))
}

// preset sets a parameter for the sessions that begin from now on.
func (s *site) preset(parameter, value string) {
	s.t.Helper()
	conn := s.session()
	database := pgx.Identifier{conn.Config().Database}.Sanitize()
	s.exec(conn, `ALTER DATABASE `+database+` SET `+parameter+` = '`+value+`'`)
}

// Somebody inserts rows in another order than the worker, which sorts them, and PostgreSQL ends the deadlock at the
// worker's expense.
func TestADeadlock(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	// Who finds a deadlock is its victim, and whoever waits looks for one once, after this time.
	s.preset("deadlock_timeout", "50ms")
	ingress := s.clientele("ingress")
	operations := take(t, ingress.api())
	slices.Sort(operations)

	other, third := s.session(), s.session()
	s.exec(other, `SET deadlock_timeout = '1min'`)
	s.exec(other, `BEGIN`)
	s.insert(other, operations[19])
	s.exec(third, `BEGIN`)
	s.insert(third, operations[10])
	worker := s.clientele("worker") // inserts the first ten and waits for the third
	s.held()
	inserted := make(chan struct{})
	go func() {
		defer close(inserted)
		s.insert(other, operations[0]) // waits for the worker
	}()
	s.waits(`pid = $1`, other.PgConn().PID())
	s.exec(third, `ROLLBACK`) // has the worker go on to where it waits for the other
	worker.says("SQLSTATE 40P01")
	<-inserted
	s.exec(other, `ROLLBACK`)
	s.settled(ingress.api(), operations)
	s.deliveredOnce()
}

// Under an isolation stricter than the one that the store asks for, a row that came meanwhile is an error, which passes.
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
			s := newSite(t)
			s.preset("default_transaction_isolation", c.isolation)
			ingress := s.clientele("ingress")
			operations := take(t, ingress.api())
			other := s.session()
			s.exec(other, `BEGIN`)
			s.insert(other, operations[10])
			worker := s.clientele("worker")
			s.held()
			s.exec(other, c.end)
			s.settled(ingress.api(), operations)
			s.deliveredOnce()
			if failed := strings.Contains(worker.output(), "SQLSTATE 40001"); failed != c.fails {
				t.Errorf("serialisation failure: %t, want %t", failed, c.fails)
			}
		})
	}
}

// One row among many that the database refuses is one rejection, and no value of it is told in it or in a log.
func TestTheDatabaseRefusesOneOfMany(t *testing.T) {
	t.Parallel()
	const n, bad = 500, 137
	s := newSite(t)
	s.exec(s.session(), `ALTER TABLE clients ADD CONSTRAINT not_this CHECK (last_name <> 'Poison')`)
	ingress := s.clientele("ingress")
	operations := make([]string, n)
	each(n, func(i int) {
		body := jane
		if i == bad {
			body = strings.Replace(jane, "Smith", "Poison", 1)
		}
		operations[i] = accepted(t, ingress.api(), body, "")
	})
	worker := s.clientele("worker")
	publishertest.Eventually(t, "every command is acknowledged", s.drained)

	stored := slices.Delete(slices.Clone(operations), bad, bad+1)
	if rows, of := s.rows(), len(events(t, s.nats.url)); rows != n-1 || of != n-1 {
		t.Fatalf("%d rows and events of %d clients, want %d", rows, of, n-1)
	}
	s.sameEvents(ingress.api(), stored)
	rejected := messages(t, s.nats.url, domain.StreamRejections)
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
	op := get(t, ingress.api()+operations[bad])
	if op.object(t)["status"] != "failed" || !strings.Contains(op.body, "23514 not_this") {
		t.Errorf("operation: %s", op.body)
	}
	for _, value := range []string{"Poison", "Jane", "jsmith"} {
		if strings.Contains(op.body+worker.output()+ingress.output(), value) {
			t.Errorf("%s is told", value)
		}
	}
}
