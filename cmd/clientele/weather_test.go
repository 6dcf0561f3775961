package main

import (
	"context"
	"net/http"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
)

// What the tests of bad weather share.

// take posts twenty clients, one after the other, and returns their operations.
func take(t testing.TB, api string) (operations []string) {
	t.Helper()
	for range 20 {
		operations = append(operations, accepted(t, api, jane, ""))
	}
	return operations
}

// crowd is callers who post clients, a hundred a second, each under a key of its own and, when told that the outcome is
// not known or that it cannot be now, again under that key until it is accepted.
type crowd struct {
	t    *testing.T
	tick *time.Ticker
	wg   sync.WaitGroup
	// leaving ends new requests; gone ends old ones, too, whatever became of them.
	leaving, gone chan struct{}

	mu         sync.Mutex
	operations []string
	refusals   map[string]int // by type of problem
}

func gather(t *testing.T, apis ...string) *crowd {
	t.Helper()
	c := &crowd{
		t: t, tick: time.NewTicker(10 * time.Millisecond),
		leaving: make(chan struct{}), gone: make(chan struct{}), refusals: map[string]int{},
	}
	for i := range 8 {
		c.wg.Go(func() { c.post(apis[i%len(apis)]) })
	}
	t.Cleanup(func() {
		close(c.gone)
		c.wg.Wait()
		c.tick.Stop()
	})
	return c
}

func (c *crowd) post(api string) {
	for {
		select {
		case <-c.leaving:
			return
		case <-c.gone:
			return
		case <-c.tick.C:
		}
		key := publishertest.NewID(c.t).String()
		for !c.note(post(c.t, api, jane, key)) {
			select {
			case <-c.gone:
				return
			case <-c.tick.C:
			}
		}
	}
}

// note notes an answer, and returns whether it is final.
func (c *crowd) note(r reply) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.status == http.StatusAccepted:
		c.operations = append(c.operations, r.header.Get("Location"))
		return true
	case r.status == http.StatusServiceUnavailable && r.header.Get("Retry-After") != "":
		c.refusals[r.object(c.t)["type"].(string)]++
		return false
	default:
		c.t.Errorf("%d %v: %s", r.status, r.header, r.body)
		return true
	}
}

// counts returns how many requests were accepted, and how many answers were that it is not known or cannot be now.
func (c *crowd) counts() (accepted, refused int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.refusals {
		refused += n
	}
	return len(c.operations), refused
}

// goesOn waits until n more requests have been accepted.
func (c *crowd) goesOn(n int) {
	c.t.Helper()
	before, _ := c.counts()
	publishertest.Eventually(c.t, "commands are accepted", func() bool { now, _ := c.counts(); return now >= before+n })
}

// leave waits until every request is accepted and returns their operations.
func (c *crowd) leave() []string {
	close(c.leaving)
	c.wg.Wait()
	return c.operations
}

// session returns a connection of the test's own to the database.
func (s *site) session() *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(context.Background(), s.database)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (s *site) exec(conn *pgx.Conn, sql string, args ...any) {
	s.t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		s.t.Fatal(err)
	}
}

// lock has whoever inserts clients wait, before the commit, until unlock.
func (s *site) lock() (unlock func()) {
	s.t.Helper()
	conn := s.session()
	// A lock on the table would have the statement wait before it is even planned.
	s.exec(conn, `CREATE OR REPLACE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$`)
	s.exec(conn, `CREATE OR REPLACE TRIGGER gate AFTER INSERT ON clients FOR EACH STATEMENT EXECUTE FUNCTION gate()`)
	s.exec(conn, `SELECT pg_advisory_lock(1)`)
	return func() { s.t.Helper(); s.exec(conn, `SELECT pg_advisory_unlock(1)`) }
}

// held waits until a statement of Clientele waits for a lock.
func (s *site) held() {
	s.t.Helper()
	s.waits(`application_name = 'clientele'`)
}

// waits waits until a statement of a session to which the condition applies waits for a lock.
func (s *site) waits(condition string, args ...any) {
	s.t.Helper()
	conn := s.session()
	publishertest.Eventually(s.t, "a statement waits", func() bool {
		var waits bool
		if err := conn.QueryRow(context.Background(), `SELECT count(*) > 0 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND `+condition, args...).Scan(&waits); err != nil {
			s.t.Fatal(err)
		}
		return waits
	})
}

// terminate ends every session that Clientele has in the database.
func (s *site) terminate() {
	s.t.Helper()
	s.exec(s.session(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'clientele'`)
}

// ackWait sets how long a worker may be silent about a command before another gets it, so that no test has to wait for
// as long as is right in production. Workers that start later keep to it.
func (s *site) ackWait(d time.Duration) {
	s.t.Helper()
	config := s.consumer().Config
	config.AckWait = d
	if _, err := s.js.UpdateConsumer(context.Background(), domain.StreamCommands, config); err != nil {
		s.t.Fatal(err)
	}
}

// behind starts a process that has the proxy between itself and the proxy's server.
func (s *site) behind(p *proxy, role string) *proc {
	s.t.Helper()
	var flags []string
	for _, flag := range s.flags {
		flags = append(flags, p.instead(flag))
	}
	if slices.Equal(flags, s.flags) {
		s.t.Fatal("the proxy is for another server")
	}
	started := clientele(s.t, role, flags...)
	started.ready()
	return started
}

// settled waits until all commands are acknowledged and checks that the weather has left no trace: each operation has
// succeeded, there is one row for each and none besides, nothing was rejected, and of each client every event, those sent
// again included, is the same one, and carries the row.
func (s *site) settled(api string, operations []string) {
	s.t.Helper()
	publishertest.Eventually(s.t, "every command is acknowledged", s.drained)
	if n := s.rows(); n != len(operations) {
		s.t.Errorf("%d rows, want %d", n, len(operations))
	}
	if rejected := messages(s.t, s.nats.url, domain.StreamRejections); len(rejected) > 0 {
		s.t.Errorf("%d rejections, such as %s", len(rejected), rejected[0].Data)
	}
	if n := len(events(s.t, s.nats.url)); n != len(operations) {
		s.t.Errorf("events of %d clients, want %d", n, len(operations))
	}
	if !s.t.Failed() { // or it would wait for what will never be
		s.sameEvents(api, operations)
	}
}

// deliveredOnce checks that no message of the log was delivered twice.
func (s *site) deliveredOnce() {
	s.t.Helper()
	if delivered := s.consumer().Delivered; delivered.Consumer != delivered.Stream {
		s.t.Errorf("%d deliveries of %d messages", delivered.Consumer, delivered.Stream)
	}
}

// sameEvents checks that each operation has succeeded, and the events of its client.
func (s *site) sameEvents(api string, operations []string) {
	s.t.Helper()
	kept, sent := events(s.t, s.nats.url), s.published()
	each(len(operations), func(i int) {
		operation := operations[i]
		id := path.Base(operation)
		row := s.eventually(api + "/api/v2/clients/" + id).body
		op := s.eventually(api + operation).object(s.t)
		if op["status"] != "succeeded" {
			s.t.Errorf("operation: %v", op)
		}
		if len(kept[id]) == 0 {
			s.t.Errorf("client %s has no event", id)
		}
		ids := map[string]bool{}
		same := func(header nats.Header, body []byte) {
			ids[header.Get("ce-id")] = true
			if string(body) != row || header.Get("ce-time") != op["completedAt"] {
				s.t.Errorf("event %v %s, row %s of %v", header, body, row, op["completedAt"])
			}
		}
		for _, e := range kept[id] {
			same(e.Header, e.Data)
		}
		for _, e := range sent[id] {
			same(e.Header, e.Data)
		}
		if len(ids) != 1 || ids[""] {
			s.t.Errorf("client %s has events with the ids %v", id, ids)
		}
	})
}

// eventually returns the answer as soon as it is one: a pool may have to notice first that its connections are broken.
func (s *site) eventually(url string) (r reply) {
	s.t.Helper()
	publishertest.Eventually(s.t, url, func() bool {
		r = get(s.t, url)
		return r.status == http.StatusOK
	})
	return r
}

// each calls f with 0 to n-1, up to 64 at once, and returns when all calls have.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
}
