package process

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// InUseError means that another process has locked the directory.
type InUseError struct{ Dir string }

func (e *InUseError) Error() string { return e.Dir + " is in use by another clientele" }

// LockDir creates the directory, for this user only, and locks it. The lock ends with unlock or with the process, however it
// ends. The error is an *InUseError if another process has the lock.
func LockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, &InUseError{Dir: dir}
	}
	return func() { _ = file.Close() }, nil
}
