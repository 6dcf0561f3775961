package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// removeLeftovers removes the files that a rewrite of a block leaves if the process ends before it. Their messages are in the block, too,
// but the server never deletes these files, so an erased client or an expired event would stay in them (nats-server 2.15.2).
func removeLeftovers(dir string) error {
	files, err := fs.Glob(os.DirFS(dir), server.JetStreamStoreDir+"/*/streams/*/msgs/*.blk.tmp")
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range files {
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			errs = append(errs, fmt.Errorf("remove an interrupted rewrite: %w", err))
		}
	}
	return errors.Join(errs...)
}
