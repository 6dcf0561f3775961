package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// memory is the file system in memory on Linux.
const memory = "/dev/shm"

// StageInMemory makes the existing streams stage their atomic batches in memory. The server writes a batch twice, first to a
// staging area and then to the stream, and syncs both (nats-server 2.15.2). It acknowledges the batch after the second write.
// After a restart it uses the staging area to complete a partly stored batch. Such a batch was not acknowledged, so it may be lost
// with the power. Staging in memory survives the end of the process.
//
// After an error, batches are staged on disk, which is as safe, but slower. If the memory is full, the server refuses batches.
func (n *NATS) StageInMemory() error {
	path, err := filepath.Abs(n.dir)
	if err != nil {
		return err
	}
	name := sha256.Sum256([]byte(path))
	staging := filepath.Join(memory, "clientele-"+hex.EncodeToString(name[:8]))
	// The server has already read the batches of an earlier run.
	if err := os.RemoveAll(staging); err != nil {
		return fmt.Errorf("stage batches in memory: %w", err)
	}
	if err := os.Mkdir(staging, 0o700); err != nil {
		return fmt.Errorf("stage batches in memory: %w", err)
	}
	n.staging = staging
	account := filepath.Join(n.dir, n.account, "streams")
	streams, err := os.ReadDir(account)
	if err != nil {
		return fmt.Errorf("stage batches in memory: %w", err)
	}
	for _, stream := range streams {
		ofStream := filepath.Join(staging, stream.Name())
		batches := filepath.Join(account, stream.Name(), "batches") // the server recreates it at every start
		if err := errors.Join(os.Mkdir(ofStream, 0o700), os.RemoveAll(batches), os.Symlink(ofStream, batches)); err != nil {
			return fmt.Errorf("stage batches in memory: %w", err)
		}
	}
	return nil
}
