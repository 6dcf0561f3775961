package process

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// LockedError reports that another process uses a directory.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return e.Dir + " is in use by another clientele: stop it, or choose another directory"
}

// LockDir creates the directory, for this user only, and locks it until unlock or the end of the process. If another process has
// locked it, it returns a *LockedError.
func LockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create the directory, choose another: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write to the directory, choose another: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, &LockedError{dir}
	}
	return func() { _ = file.Close() }, nil
}
