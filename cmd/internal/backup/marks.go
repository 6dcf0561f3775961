package backup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/go-json-experiment/json"
)

// tombstone is a domain.Erasure in the file.
type tombstone struct {
	Hash     string    `json:"hash"`
	ErasedAt time.Time `json:"erasedAt"`
	Reason   string    `json:"reason"`
	Operator string    `json:"operator"`
}

func tombstones(erasures []domain.Erasure) []tombstone {
	ts := make([]tombstone, len(erasures))
	for i, e := range erasures {
		ts[i] = tombstone{hex.EncodeToString(e.Hash[:]), e.ErasedAt, e.Reason, e.Operator}
	}
	return ts
}

// hold is a domain.Hold in the file.
type hold struct {
	Hash     string    `json:"hash"`
	Until    string    `json:"until"`
	HeldAt   time.Time `json:"heldAt"`
	Reason   string    `json:"reason"`
	Operator string    `json:"operator"`
}

func holds(list []domain.Hold) []hold {
	hs := make([]hold, len(list))
	for i, h := range list {
		hs[i] = hold{hex.EncodeToString(h.Hash[:]), h.Until(), h.HeldAt, h.Reason, h.Operator}
	}
	return hs
}

// writeMarks writes the tombstones of erased clients and the legal holds to their files.
func writeMarks(cfg Config, m *Manifest, marks store.Marks) error {
	m.Erasures, m.Holds = len(marks.Erasures), len(marks.Holds)
	for _, part := range []struct {
		file string
		list any
	}{{erasuresFile, tombstones(marks.Erasures)}, {holdsFile, holds(marks.Holds)}} {
		file, err := newFileWriter(cfg.Dir, part.file, nil)
		if err != nil {
			return err
		}
		if err := errors.Join(json.MarshalWrite(file, part.list), file.Close()); err != nil {
			return fmt.Errorf("copy %s: %w", part.file, err)
		}
		m.Files = append(m.Files, file.entry())
	}
	return nil
}

// readMarks returns the tombstones and the holds of a backup.
func readMarks(dir string, m Manifest) (marks store.Marks, err error) {
	if marks.Erasures, err = readErasures(dir); err != nil {
		return store.Marks{}, err
	}
	if m.Holds > 0 { // a backup of an earlier version has no file of holds
		marks.Holds, err = readHolds(dir)
	}
	return marks, err
}

func readList[T any](dir, name string) (list []T, err error) {
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &list, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return list, nil
}

func readHolds(dir string) ([]domain.Hold, error) {
	hs, err := readList[hold](dir, holdsFile)
	if err != nil {
		return nil, err
	}
	list := make([]domain.Hold, len(hs))
	for i, h := range hs {
		list[i] = domain.Hold{HeldAt: h.HeldAt, Reason: h.Reason, Operator: h.Operator}
		hash, err := hex.DecodeString(h.Hash)
		day, dayErr := time.Parse(time.DateOnly, h.Until)
		if err != nil || len(hash) != len(list[i].Hash) || dayErr != nil {
			return nil, fmt.Errorf("hold %d of %s has no valid hash or day", i+1, holdsFile)
		}
		copy(list[i].Hash[:], hash)
		list[i].LastDay = day
	}
	return list, nil
}

func readErasures(dir string) ([]domain.Erasure, error) {
	ts, err := readList[tombstone](dir, erasuresFile)
	if err != nil {
		return nil, err
	}
	erasures := make([]domain.Erasure, len(ts))
	for i, t := range ts {
		erasures[i] = domain.Erasure{ErasedAt: t.ErasedAt, Reason: t.Reason, Operator: t.Operator}
		hash, err := hex.DecodeString(t.Hash)
		if err != nil || len(hash) != len(erasures[i].Hash) {
			return nil, fmt.Errorf("tombstone %d of %s has no valid hash", i+1, erasuresFile)
		}
		copy(erasures[i].Hash[:], hash)
	}
	return erasures, nil
}
