package postgres

import (
	"context"
	"fmt"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const recordRejection = `
	INSERT INTO rejections (id, caller, status, accepted_at, rejected_at) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (id) DO UPDATE SET
		caller = excluded.caller, status = excluded.status, accepted_at = excluded.accepted_at, rejected_at = excluded.rejected_at`

// RecordRejections implements store.Store.
func (s *Store) RecordRejections(ctx context.Context, rejections []domain.Rejection) error {
	return s.record(ctx, store.RejectedOperations(rejections))
}

// record halves records of which the server refuses some, until it has skipped those.
func (s *Store) record(ctx context.Context, records []store.RejectedOperation) error {
	if len(records) == 0 {
		return nil
	}
	var statements pgx.Batch // one transaction
	for _, r := range records {
		statements.Queue(recordRejection, [16]byte(r.ID), r.Caller, string(r.Status), r.AcceptedAt, r.RejectedAt)
	}
	err := s.pool.SendBatch(ctx, &statements).Close()
	switch {
	case err == nil:
		return nil
	case !refusesContent(err):
		return s.failure(fmt.Sprintf("record %d rejections", len(records)), err)
	case len(records) == 1:
		s.log.Warn().Err(s.failure("record a rejection", err)).Stringer("id", records[0].ID).Msg("an operation will not be listed")
		return nil
	}
	half := len(records) / 2
	if err := s.record(ctx, records[:half]); err != nil {
		return err
	}
	return s.record(ctx, records[half:])
}

// TrimRejections implements store.Store. It waits for no other transaction: workers that trim at once remove different rows.
func (s *Store) TrimRejections(ctx context.Context, before time.Time, n int) (int, error) {
	const trimRejections = `
		DELETE FROM rejections WHERE id = ANY (ARRAY (
			SELECT id FROM rejections WHERE rejected_at < $1 ORDER BY rejected_at LIMIT $2 FOR UPDATE SKIP LOCKED
		))`
	done, err := s.pool.Exec(ctx, trimRejections, before, n)
	if err != nil {
		return 0, s.failure("trim rejections", err)
	}
	return int(done.RowsAffected()), nil
}

// Each branch reads the rows of one status by an index, in order, and stops after n of them. Rejections that have a client since are read
// beside these. The server would turn NOT EXISTS into a join that reads all clients. The index clients_caller has callers of up to 512
// bytes, see migration 7.
const selectOperations = `
	SELECT id, status, accepted_at, completed_at FROM (
		SELECT id, status, accepted_at, completed_at FROM (
			SELECT id, 'succeeded' AS status, accepted_at, created_at AS completed_at FROM clients
			WHERE caller = $1 AND octet_length(caller) <= 512 AND $2::text IN ('', 'succeeded') AND (created_at, id) > ($3::timestamptz, $4::uuid)
			ORDER BY created_at, id LIMIT $5
		) AS succeeded
		UNION ALL
		SELECT id, status, accepted_at, completed_at FROM (
			SELECT id, status, accepted_at, rejected_at AS completed_at FROM rejections
			WHERE caller = $1 AND status = 'rejected' AND $2::text IN ('', 'rejected') AND (rejected_at, id) > ($3::timestamptz, $4::uuid)
				AND coalesce((SELECT false FROM clients WHERE clients.id = rejections.id), true)
			ORDER BY rejected_at, id LIMIT $5
		) AS rejected
		UNION ALL
		SELECT id, status, accepted_at, completed_at FROM (
			SELECT id, status, accepted_at, rejected_at AS completed_at FROM rejections
			WHERE caller = $1 AND status = 'failed' AND $2::text IN ('', 'failed') AND (rejected_at, id) > ($3::timestamptz, $4::uuid)
				AND coalesce((SELECT false FROM clients WHERE clients.id = rejections.id), true)
			ORDER BY rejected_at, id LIMIT $5
		) AS failed
	) AS completed
	ORDER BY completed_at, id LIMIT $5`

// Operations implements store.Store.
func (s *Store) Operations(ctx context.Context, caller string, status domain.OperationStatus, from time.Time, after uuid.UUID, n int) ([]domain.Operation, error) {
	// CollectRows also returns the error of Query.
	rows, _ := s.pool.Query(ctx, selectOperations, caller, string(status), from, [16]byte(after), n)
	operations, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o domain.Operation, err error) {
		var accepted *time.Time
		err = row.Scan((*[16]byte)(&o.ID), &o.Status, &accepted, &o.CompletedAt)
		if accepted != nil {
			o.AcceptedAt = accepted.UTC()
		}
		o.CompletedAt = o.CompletedAt.UTC()
		return o, err
	})
	if err != nil {
		return nil, s.failure("list operations", err)
	}
	return operations, nil
}
