package datadir

import (
	"os"

	"golang.org/x/sys/unix"
)

// allocate makes the file as long as size, in bytes, and occupies the space.
func allocate(file *os.File, size int64) error { return unix.Fallocate(int(file.Fd()), 0, 0, size) }
