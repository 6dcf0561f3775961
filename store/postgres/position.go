package postgres

import (
	"context"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// server identifies the database behind a connection: the cluster, its timeline, which each promotion of a standby changes, and the
// database in it. The name of the current file of the write-ahead log begins with the timeline.
const server = `(SELECT system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || oid
	FROM pg_control_system(), pg_database WHERE datname = current_database())`

// Position implements store.Store.
func (s *Store) Position(ctx context.Context) (p domain.Position, now string, err error) {
	var place string
	err = s.pool.QueryRow(ctx, `SELECT stream, sequence, server, `+server+` FROM redo_position`).Scan(&p.Stream, &p.Sequence, &place, &now)
	if err != nil {
		return domain.Position{}, "", s.failure("read the position", err)
	}
	p.SetPlace(place)
	return p, now, nil
}

// SetPosition implements store.Store. It compares the server in the statement that stores the position.
func (s *Store) SetPosition(ctx context.Context, p domain.Position) (bool, error) {
	done, err := s.pool.Exec(ctx, `UPDATE redo_position SET stream = $1, sequence = $2, server = $3 WHERE $4 = `+server,
		p.Stream, p.Sequence, p.Place(), p.Server)
	if err != nil {
		return false, s.failure("store the position", err)
	}
	return done.RowsAffected() == 1, nil
}

// Free implements store.Store.
func (s *Store) Free(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	array := make(pgtype.FlatArray[[16]byte], len(ids))
	for i, id := range ids {
		array[i] = id
	}
	// CollectRows also returns the error of Query. The subqueries use the indexes, a join would not.
	rows, _ := s.pool.Query(ctx, `SELECT id FROM unnest($1::uuid[]) AS batch (id)
		WHERE (SELECT id FROM clients WHERE id = batch.id) IS NULL
		AND (SELECT hash FROM erasures WHERE hash = sha256(uuid_send(batch.id))) IS NULL`, array)
	free, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id uuid.UUID, err error) {
		return id, row.Scan((*[16]byte)(&id))
	})
	if err != nil {
		return nil, s.failure("look for free ids", err)
	}
	return free, nil
}
