package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// CatchUp waits until the standby has everything that the primary has written.
func (s *PostgresServer) CatchUp(t testing.TB, primary *PostgresServer) {
	t.Helper()
	var end string
	if err := primary.query(`SELECT pg_current_wal_flush_lsn()::text`, &end); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), serverTimeout)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		var done bool
		if err := s.query(`SELECT pg_last_wal_replay_lsn() >= '`+end+`'`, &done); err != nil {
			t.Fatal(err)
		}
		if done {
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatal("the standby does not catch up")
		}
	}
}

// Disconnect makes a standby receive nothing more from its primary.
func (s *PostgresServer) Disconnect(t testing.TB) {
	t.Helper()
	if err := errors.Join(s.exec(`ALTER SYSTEM SET primary_conninfo = ''`), s.exec(`SELECT pg_reload_conf()`)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), serverTimeout)
	defer cancel()
	for connected := true; connected; {
		if err := s.query(`SELECT EXISTS (SELECT FROM pg_stat_wal_receiver)`, &connected); err != nil {
			t.Fatal(err)
		}
		if ctx.Err() != nil {
			t.Fatal("the standby stays connected")
		}
	}
}

// query returns the only value of a row.
func (s *PostgresServer) query(sql string, value any) error {
	return s.maintain(func(ctx context.Context, conn *pgx.Conn) error { return conn.QueryRow(ctx, sql).Scan(value) })
}
