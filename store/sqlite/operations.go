package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
)

const recordRejection = `
	INSERT INTO rejections (id, caller, status, accepted_at, rejected_at) VALUES (?, ?, ?, ?, ?)
	ON CONFLICT (id) DO UPDATE SET
		caller = excluded.caller, status = excluded.status, accepted_at = excluded.accepted_at, rejected_at = excluded.rejected_at`

// RecordRejections implements store.Store.
func (s *Store) RecordRejections(ctx context.Context, rejections []domain.Rejection) error {
	s.calls.RLock()
	defer s.calls.RUnlock()
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("record rejections: %w", err)
	}
	defer tx.Rollback() // does nothing after the commit
	for _, r := range store.RejectedOperations(rejections) {
		var accepted *int64
		if r.AcceptedAt != nil {
			accepted = new(r.AcceptedAt.UnixMicro())
		}
		if _, err := tx.ExecContext(ctx, recordRejection, r.ID.String(), r.Caller, string(r.Status), accepted, r.RejectedAt.UnixMicro()); err != nil {
			err = failure("record a rejection", err)
			if domain.CodeOf(err) != domain.CodeUnstorable { // else it has changed nothing, and the transaction goes on
				return err
			}
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("record rejections: %w", err)
	}
	return nil
}

// TrimRejections implements store.Store.
func (s *Store) TrimRejections(ctx context.Context, before time.Time, n int) (int, error) {
	const trimRejections = `
		DELETE FROM rejections WHERE id IN (
			SELECT id FROM rejections WHERE rejected_at < ? ORDER BY rejected_at LIMIT ?
		)`
	s.calls.RLock()
	defer s.calls.RUnlock()
	done, err := s.writer.ExecContext(ctx, trimRejections, before.UnixMicro(), n)
	if err != nil {
		return 0, fmt.Errorf("trim rejections: %w", err)
	}
	trimmed, err := done.RowsAffected()
	return int(trimmed), err
}

// Each branch reads the rows of one status by an index, in order, and stops after n of them. Rejections that have a client since are read
// beside these.
const selectOperations = `
	SELECT id, status, accepted_at, completed_at FROM (
		SELECT id, status, accepted_at, completed_at FROM (
			SELECT id, 'succeeded' AS status, accepted_at, created_at AS completed_at FROM clients
			WHERE caller = ?1 AND ?2 IN ('', 'succeeded') AND (created_at, id) > (?3, ?4)
			ORDER BY created_at, id LIMIT ?5
		) AS succeeded
		UNION ALL
		SELECT id, status, accepted_at, completed_at FROM (
			SELECT id, status, accepted_at, rejected_at AS completed_at FROM rejections
			WHERE caller = ?1 AND status = 'rejected' AND ?2 IN ('', 'rejected') AND (rejected_at, id) > (?3, ?4)
				AND NOT EXISTS (SELECT 1 FROM clients WHERE clients.id = rejections.id)
			ORDER BY rejected_at, id LIMIT ?5
		) AS rejected
		UNION ALL
		SELECT id, status, accepted_at, completed_at FROM (
			SELECT id, status, accepted_at, rejected_at AS completed_at FROM rejections
			WHERE caller = ?1 AND status = 'failed' AND ?2 IN ('', 'failed') AND (rejected_at, id) > (?3, ?4)
				AND NOT EXISTS (SELECT 1 FROM clients WHERE clients.id = rejections.id)
			ORDER BY rejected_at, id LIMIT ?5
		) AS failed
	) AS completed
	ORDER BY completed_at, id LIMIT ?5`

// Operations implements store.Store.
func (s *Store) Operations(ctx context.Context, caller string, status domain.OperationStatus, from time.Time, after uuid.UUID, n int) (operations []domain.Operation, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	args := []any{caller, string(status), from.UnixMicro(), after.String(), n}
	err = each(ctx, s.readers, selectOperations, args, func(rows *sql.Rows) error {
		var o domain.Operation
		var id string
		var accepted sql.Null[int64]
		var completed int64
		if err := rows.Scan(&id, &o.Status, &accepted, &completed); err != nil {
			return err
		}
		o.ID, err = uuid.Parse(id)
		if accepted.Valid {
			o.AcceptedAt = time.UnixMicro(accepted.V).UTC()
		}
		o.CompletedAt = time.UnixMicro(completed).UTC()
		operations = append(operations, o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	return operations, nil
}
