package backup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"clientele/domain"

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

// writeErasures writes the tombstones of erased clients to their file.
func writeErasures(cfg Config, m *Manifest, erasures []domain.Erasure) error {
	file, err := newFileWriter(cfg.Dir, erasuresFile, nil)
	if err != nil {
		return err
	}
	if err := errors.Join(json.MarshalWrite(file, tombstones(erasures)), file.Close()); err != nil {
		return fmt.Errorf("copy the tombstones: %w", err)
	}
	m.Erasures = len(erasures)
	m.Files = append(m.Files, file.entry())
	return nil
}

// readErasures returns the tombstones of a backup.
func readErasures(dir string) ([]domain.Erasure, error) {
	content, err := os.ReadFile(filepath.Join(dir, erasuresFile))
	if err != nil {
		return nil, err
	}
	var ts []tombstone
	if err := json.Unmarshal(content, &ts, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("read %s: %w", erasuresFile, err)
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
