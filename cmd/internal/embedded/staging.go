package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// memory is a file system in memory, on systems that have one.
const memory = "/dev/shm"

// StageInMemory has the streams that there are now stage their atomic batches in memory. The server writes a batch twice, to
// files of its own and then to the stream, and syncs both (2.15.2). The acknowledgement stands on the second. The first
// completes a batch of which only a part was stored when the server ended; nobody was told that such a batch is stored, so
// it may go with the power. It outlives the end of the process.
//
// With an error batches are staged on disk, which is as safe and slower. Where the memory is full, the server refuses a batch.
func (n *NATS) StageInMemory() error {
	path, err := filepath.Abs(n.dir)
	if err != nil {
		return err
	}
	name := sha256.Sum256([]byte(path))
	staging := filepath.Join(memory, "clientele-"+hex.EncodeToString(name[:8]))
	// What a server before has left, it has read by now.
	if err := os.RemoveAll(staging); err != nil {
		return fmt.Errorf("stage batches in memory: %w", err)
	}
	if err := os.Mkdir(staging, 0o700); err != nil {
		return fmt.Errorf("stage batches in memory: %w", err)
	}
	n.staging = staging
	account := filepath.Join(n.dir, "$G", "streams")
	streams, err := os.ReadDir(account)
	if err != nil {
		return fmt.Errorf("stage batches in memory: %w", err)
	}
	for _, stream := range streams {
		ofStream := filepath.Join(staging, stream.Name())
		batches := filepath.Join(account, stream.Name(), "batches") // the server makes it anew at every start
		if err := errors.Join(os.Mkdir(ofStream, 0o700), os.RemoveAll(batches), os.Symlink(ofStream, batches)); err != nil {
			return fmt.Errorf("stage batches in memory: %w", err)
		}
	}
	return nil
}
