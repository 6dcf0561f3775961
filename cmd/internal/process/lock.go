package process

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// LockDir makes the directory, for this user only, and keeps other processes out of it until unlock or the end of the
// process, however it ends. flag is the flag that the directory came from.
func LockDir(flag, dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory, choose another with %s: %w", flag, err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write to the directory, choose another with %s: %w", flag, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%s is in use by another clientele: stop it, or choose another directory with %s", dir, flag)
	}
	return func() { _ = file.Close() }, nil
}
