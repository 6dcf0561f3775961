package testcluster

import (
	"context"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/embedded"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// IDs returns the ids of all rows.
func (s *Cluster) IDs() map[string]bool {
	s.t.Helper()
	conn := s.Session()
	defer conn.Close(s.t.Context())
	rows, err := conn.Query(s.t.Context(), `SELECT id::text FROM clients`)
	if err != nil {
		s.t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	set := map[string]bool{}
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// Fill appends commands to the log.
func Fill(t testing.TB, nc *nats.Conn, n int) {
	t.Helper()
	log, err := publisher.OpenLog(context.Background(), publisher.LogConfig{Conn: nc})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	details, err := domain.Parse([]byte(Full), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tokens := make(chan struct{})
	var wg sync.WaitGroup
	for range min(n, 1000) {
		wg.Go(func() {
			for range tokens {
				id, err := domain.NewID()
				if err != nil {
					t.Error(err)
					continue
				}
				c, err := domain.NewCreateClient(id, "anonymous", time.Now(), details)
				if err != nil {
					t.Error(err)
					continue
				}
				if _, err := log.Append(context.Background(), c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range n {
		tokens <- struct{}{}
	}
	close(tokens)
	wg.Wait()
}

// Rejected waits until every command has its outcome and is acknowledged, and returns the ids of the rejections by reason.
func (s *Cluster) Rejected(t *testing.T) map[domain.Code][]string {
	t.Helper()
	publishertest.Eventually(t, "every command is acknowledged", s.Drained)
	byReason := map[domain.Code][]string{}
	for _, msg := range Messages(t, s.NATS.URL, domain.StreamRejections) {
		r, err := domain.ParseRejection(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		byReason[r.Reason] = append(byReason[r.Reason], r.ID)
	}
	return byReason
}

// Rejections runs the command in this process, and returns what it prints to standard output.
func (s *Cluster) Rejections(t *testing.T, args ...string) string {
	t.Helper()
	status, stdout, stderr := RunLine(t, append(append([]string{"rejections"}, args...), "--nats-url", s.NATS.URL)...)
	if status != cli.ExitOK {
		t.Fatalf("%v: %d %s%s", args, status, stdout, stderr)
	}
	return stdout
}

// Cluster is a nats-server process and a PostgreSQL database, migrated.
type Cluster struct {
	t         testing.TB
	NATS      *NATSServer
	Database  string
	Flags     []string
	JetStream jetstream.JetStream
	// Published returns all events that were published since the cluster started, by client id, including repetitions that the
	// stream dropped.
	Published func() map[string][]*nats.Msg
}

// New starts a nats-server with a new PostgreSQL database, and migrates both.
func New(t testing.TB) *Cluster {
	t.Helper()
	return NewOn(t, storetest.Postgres(t))
}

// NewOn is New with an existing, empty database.
func NewOn(t testing.TB, database string) *Cluster {
	t.Helper()
	return newCluster(t, Program(t, "clientele"), database)
}

// NewOf is New for a clientele of another version.
func NewOf(t testing.TB, program string) *Cluster {
	t.Helper()
	return newCluster(t, program, storetest.Postgres(t))
}

func newCluster(t testing.TB, program, database string) *Cluster {
	t.Helper()
	s := &Cluster{t: t, NATS: StartNATSServer(t), Database: database}
	s.Flags = []string{"--nats-url", s.NATS.URL, "--database-url", database}
	s.Migrate(program)
	s.JetStream, s.Published = JetStream(t, s.NATS.URL), watch(t, s.NATS.URL)
	return s
}

// Clientele starts a role in the cluster and waits until it is ready.
func (s *Cluster) Clientele(role string) *Process {
	s.t.Helper()
	p := Clientele(s.t, role, s.Flags...)
	p.Ready()
	return p
}

// Migrate runs migrate of this clientele.
func (s *Cluster) Migrate(program string) {
	s.t.Helper()
	if status := ClienteleOf(s.t, program, nil, "migrate", s.Flags...).Wait(); status != 0 {
		s.t.Fatalf("migrate: exit status %d", status)
	}
}

// ClienteleOf is Clientele for another version.
func (s *Cluster) ClienteleOf(program, role string) *Process {
	s.t.Helper()
	p := ClienteleOf(s.t, program, nil, role, s.Flags...)
	p.Ready()
	return p
}

// KeyedIDs returns the function with which the ingresses at this NATS derive the ids of keyed requests.
func KeyedIDs(nc *nats.Conn) (func(caller, key string) uuid.UUID, error) {
	log, err := publisher.OpenLog(context.Background(), publisher.LogConfig{Conn: nc})
	if err != nil {
		return nil, err
	}
	log.Close()
	return log.KeyedID, nil
}

// KeyedID returns the id of the request that this caller sends under this idempotency key.
func (s *Cluster) KeyedID(caller, key string) uuid.UUID {
	s.t.Helper()
	keyedID, err := KeyedIDs(s.JetStream.Conn())
	if err != nil {
		s.t.Fatal(err)
	}
	return keyedID(caller, key)
}

// Rows returns the number of stored clients.
func (s *Cluster) Rows() int {
	s.t.Helper()
	conn := s.Session()
	defer conn.Close(context.Background())
	var n int
	if err := conn.QueryRow(context.Background(), `SELECT count(*) FROM clients`).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// Consumer returns the state of the workers' consumer.
func (s *Cluster) Consumer() *jetstream.ConsumerInfo {
	s.t.Helper()
	c, err := s.JetStream.Consumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		s.t.Fatal(err)
	}
	return c.CachedInfo()
}

// Patient raises the ack wait of workers that start later, so that a stall of 3 s on a busy machine causes no redelivery.
func (s *Cluster) Patient() {
	s.t.Helper()
	config := s.Consumer().Config
	config.AckWait = PatientAckWait
	if _, err := s.JetStream.UpdateConsumer(context.Background(), domain.StreamCommands, config); err != nil {
		s.t.Fatal(err)
	}
}

// PatientAckWait is the ack wait after Patient.
const PatientAckWait = 6 * time.Second

// Drained reports whether the workers have no command left. The server counts a message as pending shortly after it has acknowledged it, so
// the last one must have been delivered.
func (s *Cluster) Drained() bool {
	s.t.Helper()
	log, err := s.JetStream.Stream(context.Background(), domain.StreamCommands)
	if err != nil {
		s.t.Fatal(err)
	}
	state, info := log.CachedInfo().State, s.Consumer()
	return info.NumPending == 0 && info.NumAckPending == 0 && (state.Msgs == 0 || info.Delivered.Stream >= state.LastSeq)
}

// Backlog puts commands on the log of a data directory that no process uses.
func Backlog(t testing.TB, dir string, n int) {
	t.Helper()
	server, err := embedded.StartNATS(embedded.NATSConfig{
		Dir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0", Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	nc, err := nats.Connect(server.ClientURL(), server.Option(), nats.Timeout(Patience))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	Fill(t, nc, n)
}

// Trimmed starts a worker that keeps no history, and returns when nothing is left on the log.
func (s *Cluster) Trimmed() *Process {
	s.t.Helper()
	worker := Clientele(s.t, "worker", append([]string{"--history=0s"}, s.Flags...)...)
	worker.Ready()
	publishertest.Eventually(s.t, "the log is trimmed", func() bool {
		commands, err := s.JetStream.Stream(context.Background(), domain.StreamCommands)
		if err != nil {
			s.t.Fatal(err)
		}
		return commands.CachedInfo().State.Msgs == 0
	})
	return worker
}

// Insert inserts the row of a command that is on the log, in the transaction of the session.
func (s *Cluster) Insert(session *pgx.Conn, operation string) {
	s.t.Helper()
	ctx := context.Background()
	commands, err := s.JetStream.Stream(ctx, domain.StreamCommands)
	if err != nil {
		s.t.Fatal(err)
	}
	command, err := commands.GetLastMsgForSubject(ctx, domain.SubjectCreate+path.Base(operation))
	if err != nil {
		s.t.Fatal(err)
	}
	s.Exec(session, `INSERT INTO clients (id, first_name, last_name, email_address, status, fingerprint, accepted_at, created_at)
		VALUES ($1, 'Jane', 'Smith', 'jsmith@example.com', 'NotInvited', decode($2, 'hex'), $3::text::timestamptz, now())`,
		path.Base(operation), command.Header.Get(domain.HeaderFingerprint), command.Header.Get(domain.HeaderAcceptedAt))
}

// Preset sets a parameter for later sessions.
func (s *Cluster) Preset(parameter, value string) {
	s.t.Helper()
	conn := s.Session()
	database := pgx.Identifier{conn.Config().Database}.Sanitize()
	s.Exec(conn, `ALTER DATABASE `+database+` SET `+parameter+` = '`+value+`'`)
}

// Session returns a new connection to the database.
func (s *Cluster) Session() *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(context.Background(), s.Database)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs a statement on the database.
func (s *Cluster) Exec(conn *pgx.Conn, sql string, args ...any) {
	s.t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		s.t.Fatal(err)
	}
}

// Lock makes inserts of clients wait before the commit until unlock is called.
func (s *Cluster) Lock() (unlock func()) {
	s.t.Helper()
	conn := s.Session()
	// With a lock on the table, the statement would wait before it is planned.
	s.Exec(conn, `CREATE OR REPLACE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$`)
	s.Exec(conn, `CREATE OR REPLACE TRIGGER gate AFTER INSERT ON clients FOR EACH STATEMENT EXECUTE FUNCTION gate()`)
	s.Exec(conn, `SELECT pg_advisory_lock(1)`)
	return func() { s.t.Helper(); s.Exec(conn, `SELECT pg_advisory_unlock(1)`) }
}

// LocksHeld waits until a statement of Clientele waits for a lock.
func (s *Cluster) LocksHeld() {
	s.t.Helper()
	s.LockWaits(`application_name = 'clientele'`)
}

// LockWaits waits until a statement of a session to which the condition applies waits for a lock.
func (s *Cluster) LockWaits(condition string, args ...any) {
	s.t.Helper()
	conn := s.Session()
	publishertest.Eventually(s.t, "a statement waits", func() bool {
		var waits bool
		if err := conn.QueryRow(context.Background(), `SELECT count(*) > 0 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND `+condition, args...).Scan(&waits); err != nil {
			s.t.Fatal(err)
		}
		return waits
	})
}

// Terminate ends every session that Clientele has in the database.
func (s *Cluster) Terminate() {
	s.t.Helper()
	s.Exec(s.Session(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'clientele'`)
}

// Behind starts a process that reaches the proxy's server only through the proxy.
func (s *Cluster) Behind(p *Proxy, role string) *Process {
	s.t.Helper()
	var flags []string
	for _, flag := range s.Flags {
		flags = append(flags, p.Instead(flag))
	}
	if slices.Equal(flags, s.Flags) {
		s.t.Fatal("the proxy is for another server")
	}
	started := Clientele(s.t, role, flags...)
	started.Ready()
	return started
}

// Settled waits until all commands are acknowledged and checks that the outage has left no trace: each operation succeeded and has one
// row, no other row exists, nothing was rejected, and all events of a client, including repetitions, are equal and have its record.
func (s *Cluster) Settled(api string, operations []string) {
	s.t.Helper()
	publishertest.Eventually(s.t, "every command is acknowledged", s.Drained)
	if n := s.Rows(); n != len(operations) {
		s.t.Errorf("%d rows, want %d", n, len(operations))
	}
	if rejected := Messages(s.t, s.NATS.URL, domain.StreamRejections); len(rejected) > 0 {
		s.t.Errorf("%d rejections, such as %s", len(rejected), rejected[0].Data)
	}
	if n := len(Events(s.t, s.NATS.URL)); n != len(operations) {
		s.t.Errorf("events of %d clients, want %d", n, len(operations))
	}
	if !s.t.Failed() { // otherwise it would wait in vain
		s.SameEvents(api, operations)
	}
}

// DeliveredOnce checks that no message of the log was delivered twice, after Patient.
func (s *Cluster) DeliveredOnce() {
	s.t.Helper()
	if delivered := s.Consumer().Delivered; delivered.Consumer != delivered.Stream {
		s.t.Errorf("%d deliveries of %d messages", delivered.Consumer, delivered.Stream)
	}
}

// SameEvents checks that each operation succeeded, and that all events of its client are equal.
func (s *Cluster) SameEvents(api string, operations []string) {
	s.t.Helper()
	kept, sent := Events(s.t, s.NATS.URL), s.Published()
	Each(len(operations), func(i int) {
		operation := operations[i]
		id := path.Base(operation)
		row := s.eventually(api + "/api/v2/clients/" + id).Body
		op := s.eventually(api + operation).Object(s.t)
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

// eventually waits for 200 and returns the answer: a pool may first have to notice that its connections are broken.
func (s *Cluster) eventually(url string) (r Reply) {
	s.t.Helper()
	publishertest.Eventually(s.t, url, func() bool {
		r = Get(s.t, url)
		return r.Status == http.StatusOK
	})
	return r
}
