package audit

import (
	"errors"
	"fmt"
	"os"

	"clientele/domain"
)

// File is the path of an audit log: a copy of the records, one line of JSON each. With "", Append does nothing.
//
// Several processes may append to one file. It is opened for each write, so you can rename it at any time: the next write creates it.
type File string

// FileError means that the audit log cannot be written.
type FileError struct{ Err error }

func (e *FileError) Error() string { return "write the audit log: " + e.Err.Error() }
func (e *FileError) Unwrap() error { return e.Err }

// Append appends the records and syncs the file, which it creates with mode 0600. Without records it reports whether the file can be
// written. An error is a *FileError; some of the records may have been written.
func (f File) Append(records ...domain.AuditRecord) error {
	if f == "" {
		return nil
	}
	var lines []byte
	for _, r := range records {
		line, err := r.JSON()
		if err != nil {
			return fmt.Errorf("encode audit record: %w", err)
		}
		lines = append(append(lines, line...), '\n')
	}
	file, err := os.OpenFile(string(f), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return &FileError{err}
	}
	if len(lines) > 0 {
		if torn(file) {
			lines = append([]byte("\n"), lines...)
		}
		_, err = file.Write(lines) // one write: lines of several processes do not mix
		err = errors.Join(err, file.Sync())
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return &FileError{err}
	}
	return nil
}

// torn reports whether the file ends within a line, which a full disk has cut.
func torn(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 || !info.Mode().IsRegular() {
		return false
	}
	last := make([]byte, 1)
	_, err = file.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}
