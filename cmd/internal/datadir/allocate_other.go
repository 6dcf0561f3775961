//go:build !linux

package datadir

import (
	"io"
	"os"
)

// allocate makes the file as long as size, in bytes, and occupies the space.
func allocate(file *os.File, size int64) error {
	_, err := io.CopyN(file, zeros{}, size)
	return err
}

// zeros is a reader of zeros without an end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
