package embedded

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// removeUntrustedIndexes removes the index of each stream with a file that ends in zeros, so that the server reads the stream
// instead. A power loss leaves such a file if its new size is on disk, but its data is not. If the stream was empty when the index
// was written, the server would mistake the zeros for the checksum in the index, and lose all messages (nats-server 2.15.2).
func removeUntrustedIndexes(dir string) error {
	blocks, err := fs.Glob(os.DirFS(dir), server.JetStreamStoreDir+"/*/streams/*/msgs/*.blk")
	if err != nil {
		return err
	}
	for _, block := range blocks {
		block = filepath.Join(dir, block)
		zeros, err := endsInZeros(block)
		if err != nil {
			return fmt.Errorf("read the end of a stream: %w", err)
		}
		if !zeros {
			continue
		}
		if err := os.Remove(filepath.Join(filepath.Dir(block), "index.db")); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("remove the index of a stream: %w", err)
		}
	}
	return nil
}

// endsInZeros reports whether the file ends in as many zeros as a checksum has bytes.
func endsInZeros(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var checksum [8]byte
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size < int64(len(checksum)) {
		return false, err
	}
	_, err = f.ReadAt(checksum[:], size-int64(len(checksum)))
	return checksum == [8]byte{}, err
}
