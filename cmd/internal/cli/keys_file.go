package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"clientele/publisher/ingress/auth"
)

const (
	// lockLimit is how long a command waits for others that change the same keys file. Each takes milliseconds.
	lockLimit    = 30 * time.Second
	lockInterval = 20 * time.Millisecond
)

// editKeys replaces the content of a keys file with what edit returns. It follows symbolic links and keeps the owner and the mode of
// the file, so that running processes can still read it. flag is os.O_CREATE to create a missing file, or 0.
func editKeys(ctx context.Context, path string, flag int, edit func(content []byte, keys []auth.Key) ([]byte, error)) error {
	file, target, err := lockFile(ctx, path, flag)
	if err != nil {
		return err
	}
	defer file.Close() // unlocks it
	content, keys, err := auth.ReadKeys(file)
	if err != nil {
		return err
	}
	if content, err = edit(content, keys); err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return replaceFile(target, content, info)
}

// lockFile opens and locks a file. It returns the file and its path without symbolic links.
func lockFile(ctx context.Context, path string, flag int) (file *os.File, target string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	ticker := time.NewTicker(lockInterval)
	defer ticker.Stop()
	for {
		file, target, err = tryLock(path, flag)
		if !errors.Is(err, errLocked) {
			return file, target, err
		}
		select {
		case <-ctx.Done():
			return nil, "", fmt.Errorf("lock %s: %w", path, err)
		case <-ticker.C:
		}
	}
}

var errLocked = errors.New("another program is changing the file")

// tryLock is lockFile that does not wait: the error is errLocked if another program has locked or replaced the file.
func tryLock(path string, flag int) (_ *os.File, target string, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, "", errLocked
	} else if err != nil {
		return nil, "", fmt.Errorf("lock %s: %w", path, err)
	}
	if target, err = filepath.EvalSymlinks(path); err != nil {
		return nil, "", err
	}
	opened, err := file.Stat()
	if err != nil {
		return nil, "", err
	}
	// The previous holder of the lock may have replaced the file.
	if current, err := os.Stat(target); err != nil || !os.SameFile(opened, current) {
		return nil, "", errors.Join(errLocked, err)
	}
	return file, target, nil
}

// replaceFile atomically replaces a file, and syncs it and its directory. The new file has the owner and the mode in info.
func replaceFile(path string, content []byte, info fs.FileInfo) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // has no effect after the rename
	err = keepOwner(temporary, info)
	if err == nil {
		_, err = temporary.Write(content)
	}
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// keepOwner gives a file the owner and the mode in info.
func keepOwner(file *os.File, info fs.FileInfo) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("the owner of the file is unknown")
	}
	if err := file.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("cannot keep its owner %d:%d, run this command as that user or as root: %w", owner.Uid, owner.Gid, err)
	}
	return file.Chmod(info.Mode().Perm())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
