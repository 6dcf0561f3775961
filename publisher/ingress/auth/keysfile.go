package auth

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// othersMayWrite are the permissions that a keys file must not have: they allow others to add keys.
const othersMayWrite fs.FileMode = 0o022

// WritableError means that users other than the owner of a keys file may write it.
type WritableError struct {
	Path string
	Mode fs.FileMode
}

func (e *WritableError) Error() string {
	return fmt.Sprintf("%s has mode %04o, so others than its owner may write it: run chmod go-w on it", e.Path, e.Mode)
}

// ReadKeys reads an open keys file and returns its content and its keys. The error is a *WritableError if others may write it.
func ReadKeys(file *os.File) (content []byte, keys []Key, err error) {
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", file.Name())
	}
	if mode := info.Mode().Perm(); mode&othersMayWrite != 0 {
		return nil, nil, &WritableError{file.Name(), mode}
	}
	if content, err = io.ReadAll(file); err != nil {
		return nil, nil, err
	}
	if keys, err = ParseKeys(content); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file.Name(), err)
	}
	return content, keys, nil
}

// ReadKeysFile is ReadKeys for the file at this path.
func ReadKeysFile(path string) (content []byte, keys []Key, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	return ReadKeys(file)
}
