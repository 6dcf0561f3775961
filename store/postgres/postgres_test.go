package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/storetest"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := storetest.Main(m)
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database {
		url := storetest.Postgres(t)
		return storetest.Database{
			Open: func() (store.Store, error) {
				return postgres.Open(context.Background(), postgres.Config{URL: url, MaxConns: 4})
			},
			Exec: func(statement string) error {
				_, err := connect(t, url).Exec(t.Context(), statement)
				return err
			},
		}
	})
}

func BenchmarkCreate(b *testing.B) { storetest.Benchmark(b, migrated(b, storetest.Postgres(b))) }

func TestOpenRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  postgres.Config
		want string
	}{
		"no URL":                  {postgres.Config{}, "URL: "},
		"keywords":                {postgres.Config{URL: "host=sekrit-host user=alice password=sekrit"}, "URL: "},
		"another scheme":          {postgres.Config{URL: "mysql://alice:sekrit@sekrit-host/db"}, "URL: "},
		"a port of letters":       {postgres.Config{URL: "postgres://alice:sekrit@sekrit-host:sekrit/db"}, "URL: invalid port"},
		"a password with a slash": {postgres.Config{URL: "postgres://alice:sek/rit@sekrit-host/db"}, "URL: "},
		"a broken escape":         {postgres.Config{URL: "postgres://alice:sekrit%zz@sekrit-host/db"}, "URL: "},
		"an unknown sslmode": {
			postgres.Config{URL: "postgres://alice:sekrit@sekrit-host/db?sslmode=sekrit"}, "URL: failed to configure TLS",
		},
		"an unknown session": {
			postgres.Config{URL: "postgres://alice:sekrit@sekrit-host/db?target_session_attrs=sekrit"},
			"URL: unknown target_session_attrs value",
		},
		"an unknown pool size": {
			postgres.Config{URL: "postgres://alice:sekrit@sekrit-host/db?pool_max_conns=sekrit"}, "URL: cannot parse pool_max_conns",
		},
		"an unknown exec mode": {
			postgres.Config{URL: "postgres://alice:sekrit@sekrit-host/db?default_query_exec_mode=sekrit"}, "URL: ",
		},
		"commits that are not on disk": {
			postgres.Config{URL: "postgres://alice:sekrit@sekrit-host/db?synchronous_commit=off"}, "URL: synchronous_commit is too weak",
		},
		"commits that are not on the standby": {
			postgres.Config{URL: "postgres://alice:sekrit@sekrit-host/db?synchronous_commit=local"}, "URL: synchronous_commit is too weak",
		},
		"less than no connections": {
			postgres.Config{URL: "postgres://alice:sekrit@sekrit-host/db", MaxConns: -1}, "MaxConns: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := postgres.Open(t.Context(), test.cfg)
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%v, want %s…", err, test.want)
			}
			for _, part := range []string{"alice", "sek", "rit"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("the error tells a part of the URL: %v", err)
				}
			}
		})
	}
}

func TestSettings(t *testing.T) {
	url := storetest.Postgres(t)
	for query, want := range map[string]string{"": "clientele", "&application_name=mine": "mine"} {
		migrated(t, url+query)
		var found bool
		err := connect(t, url).QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = $1)`, want).Scan(&found)
		if err != nil || !found {
			t.Errorf("no connection of %q, %v", want, err)
		}
	}
}

// A database whose default is weaker does not weaken commits.
func TestCommitsAreSynchronous(t *testing.T) {
	url := storetest.Postgres(t)
	migrated(t, url)
	admin := connect(t, url)
	for _, statement := range []string{
		`ALTER DATABASE ` + pgx.Identifier{admin.Config().Database}.Sanitize() + ` SET synchronous_commit = off`,
		`CREATE TABLE seen (value text)`,
		`CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$`,
		`CREATE TRIGGER see AFTER INSERT ON clients FOR EACH STATEMENT EXECUTE FUNCTION see()`,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]string{
		"": "on", "&options=-csynchronous_commit%3Doff": "on", "&synchronous_commit=on": "on",
		"&synchronous_commit=remote_write": "remote_write", "&synchronous_commit=remote_apply": "remote_apply",
	} {
		mustCreate(t, migrated(t, url+query), storetest.Clients(1))
		var seen string
		if err := admin.QueryRow(t.Context(), `DELETE FROM seen RETURNING value`).Scan(&seen); err != nil || seen != want {
			t.Errorf("%q: synchronous_commit is %q (%v), want %q", query, seen, err, want)
		}
	}
}

// TestOutage stops and starts one server, and ends its connections.
func TestOutage(t *testing.T) {
	server := storetest.StartPostgres(t)
	s := migrated(t, server.URL())
	first := storetest.Clients(2)
	mustCreate(t, s, first)

	for name, immediate := range map[string]bool{"crash": true, "shutdown": false} {
		t.Run(name, func(t *testing.T) {
			server.Stop(t, immediate)
			batch := storetest.Clients(2)
			wantRetryable(t, s, batch)
			if err := s.Ready(t.Context()); err == nil || domain.CodeOf(err) != "" {
				t.Errorf("Ready returned %v", err)
			}
			if _, _, err := s.Migrate(t.Context()); err == nil || domain.CodeOf(err) != "" {
				t.Errorf("Migrate returned %v", err)
			}

			late, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL()})
			if err != nil {
				t.Fatalf("Open returned %v while the server was unavailable", err)
			}
			defer late.Close()
			wantRetryable(t, late, batch)

			server.Start(t)
			for _, s := range []*postgres.Store{s, late} {
				if err := s.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				mustCreate(t, s, batch)
				for _, c := range first {
					if _, err := s.Get(t.Context(), c.ID); err != nil {
						t.Errorf("Get returned %v", err)
					}
				}
			}
		})
	}

	t.Run("connections lost", func(t *testing.T) {
		admin := connect(t, server.URL())
		var batch []domain.Client
		var lost error
		for range 10 { // the pool replaces a lost connection that was idle for a second
			mustCreate(t, s, first)
			if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE application_name = 'clientele'`); err != nil {
				t.Fatal(err)
			}
			batch = storetest.Clients(2)
			if _, lost = s.Create(t.Context(), batch); lost != nil {
				break
			}
		}
		if lost == nil || domain.CodeOf(lost) != "" {
			t.Errorf("Create returned %v, want an error without a code", lost)
		}
		mustCreate(t, s, batch)
	})
}

// TestReadOnly makes a server read-only: to a client it looks like a primary that became a standby.
func TestReadOnly(t *testing.T) {
	url := storetest.Postgres(t)
	migrated(t, url)
	var log bytes.Buffer
	open := func(query string) *postgres.Store {
		s, err := postgres.Open(t.Context(), postgres.Config{
			URL: url + "&default_transaction_read_only=on&application_name=reader" + query, Log: zerolog.New(&log),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}

	s := open("&target_session_attrs=any")
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRetryable(t, s, storetest.Clients(2))
	if !strings.Contains(log.String(), "read-only") {
		t.Errorf("the log does not tell: %s", log.String())
	}
	admin := connect(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for connections := 1; connections > 0; {
		if err := admin.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reader'`).
			Scan(&connections); err != nil {
			t.Fatalf("%d connections to a server that is read-only: %v", connections, err)
		}
	}

	if err := open("").Ready(t.Context()); err == nil || domain.CodeOf(err) != "" {
		t.Errorf("Ready returned %v, want that no server is writable", err)
	}
}

// TestMigrateWaits migrates while another program holds the migration lock.
func TestMigrateWaits(t *testing.T) {
	url := storetest.Postgres(t)
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other := connect(t, url)
	if _, err := other.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, int64(postgres.MigrationLock)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if from, to, err := s.Migrate(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Migrate returned %d, %d, %v, want %v", from, to, err, context.DeadlineExceeded)
	}
	if err := other.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if from, to, err := s.Migrate(t.Context()); err != nil || from != 0 || to == 0 {
		t.Errorf("Migrate returned %d, %d, %v", from, to, err)
	}
}

// TestDeletedMeanwhile deletes a row between the insert that conflicts with it and the query that reads it.
func TestDeletedMeanwhile(t *testing.T) {
	url := storetest.Postgres(t)
	s := migrated(t, url)
	batch := storetest.Clients(2)
	mustCreate(t, s, batch[:1])
	admin := connect(t, url)
	if _, err := admin.Exec(t.Context(), `
		CREATE FUNCTION empty() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM clients; RETURN NULL; END $$;
		CREATE TRIGGER empty AFTER INSERT ON clients FOR EACH STATEMENT EXECUTE FUNCTION empty()`); err != nil {
		t.Fatal(err)
	}
	wantRetryable(t, s, batch)
	if _, err := admin.Exec(t.Context(), `DROP TRIGGER empty ON clients`); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, s, batch)
}

// TestErasedDuringAnInsert erases a client whose insert has passed the check for tombstones, but is not committed.
func TestErasedDuringAnInsert(t *testing.T) {
	url := storetest.Postgres(t)
	s := migrated(t, url)
	batch := storetest.Clients(1)
	id := batch[0].ID
	admin := connect(t, url)
	if _, err := admin.Exec(t.Context(), `
		CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$;
		CREATE TRIGGER held BEFORE INSERT ON clients FOR EACH ROW EXECUTE FUNCTION held();
		SELECT pg_advisory_lock(1)`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	monitor := connect(t, url)
	waiting := func() (n int) {
		if err := monitor.QueryRow(ctx, `SELECT count(*) FROM pg_locks
			WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	created, erased := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.Create(t.Context(), batch)
		created <- err
	}()
	for waiting() < 1 { // until the insert is held
		runtime.Gosched()
	}
	go func() {
		_, err := s.Erase(t.Context(), id, domain.NewErasure(id, time.Now(), "", ""))
		erased <- err
	}()
	for waiting() < 2 && len(erased) == 0 { // until the erasure waits, or has not waited
		runtime.Gosched()
	}
	if _, err := admin.Exec(t.Context(), `SELECT pg_advisory_unlock(1)`); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-created, <-erased); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), id); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("Get returned %v, want that the client is erased", err)
	}
}

// TestAPeriodIsReadByItsIndex counts the clients of a minute in a table of several ranges of the index.
func TestAPeriodIsReadByItsIndex(t *testing.T) {
	url := storetest.Postgres(t)
	s := migrated(t, url)
	const n = 200_000
	seconds(t, url, n)
	from := time.Unix(n/2, 0)
	if counted, err := s.Count(t.Context(), from, from.Add(time.Minute)); err != nil || counted != 60 {
		t.Errorf("Count returned %d and %v, want 60", counted, err)
	}
	if err := s.Close(); err != nil { // the session reports what it did when it ends
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	admin := connect(t, url)
	for scans := 0; scans == 0; {
		if err := admin.QueryRow(ctx, `SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'clients_created_at'`).Scan(&scans); err != nil {
			t.Fatalf("the index was not used: %v", err)
		}
	}
}

// seconds stores n clients, each created a second after the one before.
func seconds(t testing.TB, url string, n int) {
	t.Helper()
	conn := connect(t, url)
	for _, statement := range []string{
		fmt.Sprintf(`INSERT INTO clients (id, first_name, last_name, email_address, status, fingerprint, accepted_at, created_at)
			SELECT gen_random_uuid(), 'Jane', 'Smith', 'jsmith@example.com', 'NotInvited', sha256(''), at, at
			FROM generate_series(0, %d - 1) AS second, to_timestamp(second) AS at`, n),
		`VACUUM ANALYZE clients`, // as autovacuum does
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoPasswordInErrors(t *testing.T) {
	s, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://alice:sekrit@127.0.0.1:1/db"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ready(t.Context()); err == nil || strings.Contains(err.Error(), "sekrit") {
		t.Errorf("Ready returned %v", err)
	}
}

func wantRetryable(t *testing.T, s *postgres.Store, batch []domain.Client) {
	t.Helper()
	if results, err := s.Create(t.Context(), batch); err == nil || domain.CodeOf(err) != "" || results != nil {
		t.Errorf("Create returned %v, %v, want an error without a code", results, err)
	}
}

func mustCreate(t *testing.T, s *postgres.Store, batch []domain.Client) {
	t.Helper()
	if _, err := s.Create(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

func migrated(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(context.Background(), postgres.Config{URL: url})
	return storetest.Migrated(t, s, err)
}

// connect returns a new connection to the database.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// PostgreSQL plans a prepared statement once for a table that has no rows yet. The plan must also fit the table when it has grown, before
// its statistics are collected.
func TestReadsOfAGrowingTable(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	migrated(t, url)
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	clients := storetest.Clients(5000)
	read := func() {
		for i := range 20 {
			if _, err := s.GetAll(t.Context(), []uuid.UUID{clients[i].ID, clients[i+1].ID}); err != nil {
				t.Fatal(err)
			}
		}
	}
	read()
	for batch := range slices.Chunk(clients, 500) {
		if _, err := s.Create(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if err := s.Close(); err != nil { // the session reports its statistics
		t.Fatal(err)
	}
	var rows int
	if err := connect(t, url).QueryRow(t.Context(), `SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'clients'`).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if rows > 0 {
		t.Errorf("20 reads of two clients visited %d rows without the index", rows)
	}
}
