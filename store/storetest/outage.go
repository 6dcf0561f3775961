package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pause stops every process of the server with SIGSTOP, like a machine that hangs: connections stay open, but nothing answers.
// Resume continues them, and so does the end of the test.
func (s *PostgresServer) Pause(t testing.TB) {
	t.Helper()
	t.Cleanup(s.Resume) // a halted process cannot shut down
	if err := s.pause(); err != nil {
		t.Fatal(err)
	}
}

func (s *PostgresServer) pause() error {
	return s.maintain(func(ctx context.Context, conn *pgx.Conn) error {
		// The postmaster first, so that it starts no process while the others are listed.
		if err := s.halt(s.Pid()); err != nil {
			return err
		}
		rows, err := conn.Query(ctx, `SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()`)
		if err != nil {
			return err
		}
		pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
		for _, pid := range pids {
			err = errors.Join(err, s.halt(pid))
		}
		return err
	})
}

func (s *PostgresServer) halt(pid int) error {
	s.halted = append(s.halted, pid)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("halt process %d: %w", pid, err)
	}
	return nil
}

// Resume continues the server after Pause.
func (s *PostgresServer) Resume() {
	for _, pid := range s.halted {
		_ = syscall.Kill(pid, syscall.SIGCONT) // the process may have ended
	}
	s.halted = nil
}

// Exhaust restarts the server without transaction ids: it refuses every write, so that none is used twice.
func (s *PostgresServer) Exhaust(t testing.TB) {
	t.Helper()
	s.Stop(t, false)
	if err := s.exhaust(); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
}

// exhaust sets the next transaction id, and adds the file where the server would keep the state of that transaction.
func (s *PostgresServer) exhaust() error {
	const (
		next    = math.MaxInt32 - 500_000 // 2^31 transactions after the oldest, ids would wrap around; the server stops up to 3,000,000 before
		perFile = 1 << 20                 // transactions, with two bits each
	)
	path := filepath.Join(s.dir, "data", "pg_xact", fmt.Sprintf("%04X", next/perFile))
	if err := os.WriteFile(path, make([]byte, perFile/4), 0o600); err != nil {
		return err
	}
	if s.owner != nil {
		if err := os.Chown(path, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			return err
		}
	}
	if out, err := s.command("pg_resetwal", "-x", strconv.Itoa(next)).CombinedOutput(); err != nil {
		return fmt.Errorf("pg_resetwal: %w: %s", err, out)
	}
	return nil
}

// Standby starts a hot standby of the server, with synchronous replication: a commit returns when it is on the standby's disk.
// The standby is removed after the test.
func (s *PostgresServer) Standby(t testing.TB) *PostgresServer {
	t.Helper()
	standby := s.AsynchronousStandby(t)
	s.Synchronise(t)
	return standby
}

// AsynchronousStandby starts a hot standby of the server, for which commits do not wait. It is removed after the test.
func (s *PostgresServer) AsynchronousStandby(t testing.TB) *PostgresServer {
	t.Helper()
	return s.AsynchronousStandbyOn(t, s.host)
}

// AsynchronousStandbyOn is AsynchronousStandby on another host.
func (s *PostgresServer) AsynchronousStandbyOn(t testing.TB, host Host) *PostgresServer {
	t.Helper()
	standby, err := s.copied(host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.remove(); err != nil {
			t.Error(err)
		}
	})
	return standby
}

// copied starts a copy of the server on the host that replicates it.
func (s *PostgresServer) copied(host Host) (*PostgresServer, error) {
	dir, err := os.MkdirTemp("", "clientele-postgres-")
	if err != nil {
		return nil, err
	}
	standby := &PostgresServer{programs: s.programs, dir: dir, host: host, owner: s.owner, database: s.database}
	if err := standby.follow(s); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return standby, nil
}

func (s *PostgresServer) follow(primary *PostgresServer) error {
	if err := s.copy(primary); err != nil {
		return err
	}
	return s.startOnFreePort()
}

// copy makes the data directory, which must not exist, a copy of the primary's that replicates it.
func (s *PostgresServer) copy(primary *PostgresServer) error {
	if err := s.chown(); err != nil {
		return err
	}
	backup := s.command("pg_basebackup", "--host="+primary.host.Address, "--port="+strconv.Itoa(primary.port), "--username="+superuser,
		"--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	if out, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	return nil
}

// Rejoin starts a stopped server again, on a copy of the primary that replicates it. What only this server had is lost.
func (s *PostgresServer) Rejoin(t testing.TB, primary *PostgresServer) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, "data")); err != nil {
		t.Fatal(err)
	}
	if err := s.copy(primary); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
}

// Synchronise makes commits wait for a standby, and returns when they do.
func (s *PostgresServer) Synchronise(t testing.TB) {
	t.Helper()
	if err := s.synchronise(); err != nil {
		t.Fatal(err)
	}
}

// synchronise makes commits wait for the standby, and returns when they do.
func (s *PostgresServer) synchronise() error {
	for _, statement := range []string{`ALTER SYSTEM SET synchronous_standby_names = '*'`, `SELECT pg_reload_conf()`} {
		if err := s.exec(statement); err != nil {
			return err
		}
	}
	return s.maintain(func(ctx context.Context, conn *pgx.Conn) error {
		poll := time.NewTicker(pollInterval)
		defer poll.Stop()
		for {
			var synchronous bool
			err := conn.QueryRow(ctx, `SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'sync'`).Scan(&synchronous)
			if err != nil || synchronous {
				return err
			}
			<-poll.C
		}
	})
}

// Promote promotes a standby, and returns when it is the primary.
func (s *PostgresServer) Promote(t testing.TB) {
	t.Helper()
	if err := s.exec(`SELECT pg_promote()`); err != nil {
		t.Fatal(err)
	}
}

// URLWith returns a URL that names both servers, this one first.
func (s *PostgresServer) URLWith(standby *PostgresServer) string {
	return fmt.Sprintf("postgres://%s@%s,%s/%s?sslmode=disable", superuser, s.address(), standby.address(), s.database)
}
