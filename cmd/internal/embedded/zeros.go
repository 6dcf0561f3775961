package embedded

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// distrustZeros has the server read a stream anew if one of its files ends in zeros, as a loss of power leaves them: the file
// had its new size already, and not yet its data. The server would take them for the checksum in its index of a stream
// that was empty when the index was written, believe that index, and forget all that is on the stream (2.15.2).
func distrustZeros(dir string) error {
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

// endsInZeros says whether the file ends in as many zeros as a checksum has bytes.
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
