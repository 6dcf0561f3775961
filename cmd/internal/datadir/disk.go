package datadir

import (
	"fmt"
	"syscall"
)

// Disk returns the free space and the size of the disk with this directory, in bytes.
func Disk(dir string) (free, size int64, err error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, 0, fmt.Errorf("size of the disk: %w", err)
	}
	block := int64(stat.Bsize) //nolint:unconvert // uint32 on macOS
	return int64(stat.Bavail) * block, int64(stat.Blocks) * block, nil
}
