package cli

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"clientele/domain"

	"github.com/google/uuid"
)

// reapply erases again the clients with an erasure on record whose data exists, and stores missing tombstones. On record are the
// tombstones, client.erased events and the named ids.
func (x eraser) reapply(e env, named []uuid.UUID, ask confirmFlags) error {
	onRecord, unmarked, err := x.onRecord(e, named)
	if err != nil {
		return err
	}
	present, err := x.presentOf(e, onRecord)
	if err != nil {
		return err
	}
	for id := range present {
		delete(unmarked, id) // erase stores its tombstone
	}
	fmt.Fprintf(e.stdout, "erasures on record: %d; erased clients with data: %d; other missing tombstones: %d\n", len(onRecord), len(present), len(unmarked))
	if len(present)+len(unmarked) == 0 {
		return nil
	}
	question := fmt.Sprintf("Erase everything about %s again, and store the missing tombstones? This cannot be undone.", countOf(len(present), "client"))
	if yes, err := ask.confirmed(e, question, "erased"); !yes {
		return err
	}
	marks, erasures := sorted(unmarked), sorted(present)
	return x.recorded(e, domain.AuditErase, slices.Concat(marks, erasures), func() ([]uuid.UUID, error) { return x.again(e, marks, erasures) })
}

// again stores the tombstones of some ids, and erases the others. It returns the ids for which it did so.
func (x eraser) again(e env, marks, erasures []uuid.UUID) (done []uuid.UUID, err error) {
	stored, _, failures, err := x.eraseRows(e, marks)
	if err != nil {
		return nil, err
	}
	if len(stored) > 0 {
		fmt.Fprintf(e.stdout, "stored %s\n", countOf(len(stored), "tombstone"))
	}
	err = failed(e, failures, "stored the tombstones of", len(stored), marks)
	if len(erasures) == 0 {
		return stored, err
	}
	erased, again := x.erase(e, erasures)
	return append(stored, erased...), errors.Join(err, again)
}

type erasureHash = [sha256.Size]byte

// onRecord returns the hashes of all ids with an erasure on record, and those ids that have no tombstone.
func (x eraser) onRecord(e env, named []uuid.UUID) (onRecord map[erasureHash]bool, unmarked map[uuid.UUID]bool, err error) {
	marks, err := x.clients.Marks(e.ctx)
	if err != nil {
		return nil, nil, err
	}
	onRecord, unmarked = map[erasureHash]bool{}, map[uuid.UUID]bool{}
	for _, tombstone := range marks.Erasures {
		onRecord[tombstone.Hash] = true
	}
	add := func(id uuid.UUID) {
		if hash := domain.ErasureHash(id); !onRecord[hash] {
			onRecord[hash], unmarked[id] = true, true
		}
	}
	for _, id := range named {
		add(id)
	}
	return onRecord, unmarked, x.streams.EachClient(e.ctx, domain.SubjectErased, add)
}

// presentOf returns the ids on record of which there is a row, or a message with data.
func (x eraser) presentOf(e env, onRecord map[erasureHash]bool) (map[uuid.UUID]bool, error) {
	present, err := x.withMessages(e, func(id uuid.UUID) bool { return onRecord[domain.ErasureHash(id)] })
	if err != nil {
		return nil, err
	}
	_, err = x.clients.Export(e.ctx, func(c domain.Client) error {
		if onRecord[domain.ErasureHash(c.ID)] {
			present[c.ID] = true
		}
		return nil
	})
	return present, err
}

// withMessages returns the wanted ids of which a stream has a message with data. A rejection because of an erasure has none.
func (x eraser) withMessages(e env, wanted func(uuid.UUID) bool) (found map[uuid.UUID]bool, err error) {
	found, rejected := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for subject, ids := range map[string]map[uuid.UUID]bool{
		domain.SubjectCreated: found, domain.SubjectCreate: found, domain.SubjectRejected: rejected,
	} {
		err := x.streams.EachClient(e.ctx, subject, func(id uuid.UUID) {
			if wanted(id) {
				ids[id] = true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	for id := range rejected {
		rejection, err := x.streams.Rejection(e.ctx, id)
		if domain.CodeOf(err) != domain.CodeNotFound && rejection.Reason != domain.CodeErased {
			found[id] = true
		}
	}
	return found, nil
}

func sorted(ids map[uuid.UUID]bool) []uuid.UUID {
	return slices.SortedFunc(maps.Keys(ids), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
}
