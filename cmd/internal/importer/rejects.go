package importer

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// rejects collects the rejected rows, in an unnamed file until the import is complete.
type rejects struct {
	path string
	rows rows

	mu    sync.Mutex
	spool *os.File
	size  int64
	index []spooled
}

// spooled is the position of a rejected row in the spool. Responses arrive in any order.
type spooled struct {
	order  int
	offset int64
	size   int64
}

func (x *rejects) add(r row, reasons []string) (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.spool == nil {
		if x.spool, err = createTemp(x.path); err != nil {
			return &RejectsError{err}
		}
		_ = os.Remove(x.spool.Name()) // no file remains if the import is killed; Windows removes it in close
	}
	counted := &writer{Writer: x.spool}
	if err := x.rows.reject(counted, r, reasons); err != nil {
		return fmt.Errorf("write a rejected row: %w", err)
	}
	x.index = append(x.index, spooled{r.order, x.size, counted.n})
	x.size += counted.n
	return nil
}

// createTemp creates a file beside another, readable only by this user.
func createTemp(beside string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(beside), ".clientele-import-*")
}

// close discards the rows.
func (x *rejects) close() {
	if x.spool != nil {
		_ = x.spool.Close()
		_ = os.Remove(x.spool.Name())
	}
}

// writeTo writes the rows in the order of the imported file.
func (x *rejects) writeTo(w io.Writer) error {
	slices.SortFunc(x.index, func(a, b spooled) int { return cmp.Compare(a.order, b.order) })
	out := bufio.NewWriter(w)
	if err := x.rows.head(out); err != nil {
		return err
	}
	for _, r := range x.index {
		if _, err := io.Copy(out, io.NewSectionReader(x.spool, r.offset, r.size)); err != nil {
			return err
		}
	}
	return out.Flush()
}

// create writes the rows to a new file and returns its path. If files exist under that path or its numbered variants, taken is
// the last of them. If one of them already has the same rows, such as after the same import, create returns its path instead.
func (x *rejects) create() (path, taken string, err error) {
	sum := sha256.New()
	if err := x.writeTo(sum); err != nil {
		return "", "", err
	}
	for n := 1; ; n++ {
		path = numbered(x.path, n)
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			return path, taken, x.fill(file)
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", "", err
		}
		if same, err := hasSum(path, sum.Sum(nil)); same || err != nil {
			return path, taken, err
		}
		taken = path
	}
}

// replace atomically replaces a file with the rows.
func (x *rejects) replace(path string) error {
	file, err := createTemp(path)
	if err != nil {
		return err
	}
	if err := x.fill(file); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// fill writes the rows to a new file, and removes the file after an error.
func (x *rejects) fill(file *os.File) error {
	if err := errors.Join(x.writeTo(file), file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// hasSum reports whether a regular file has this content.
func hasSum(path string, sum []byte) (bool, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return false, &RejectsError{fmt.Errorf("%s is not a regular file", path)}
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return false, &RejectsError{errors.Join(err, fmt.Errorf("%s is not a regular file", path))}
	}
	content := sha256.New()
	_, err = io.Copy(content, file)
	return slices.Equal(content.Sum(nil), sum), err
}

// writer counts the bytes that it writes.
type writer struct {
	io.Writer

	n int64
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.n += int64(n)
	return n, err
}

// finish writes the rejected rows. If the imported file was a rejects file, finish replaces its rows with those rejected again, or
// removes it if there are none. Otherwise, finish writes a new file.
func finish(in *input, out *rejects, result *Result) (err error) {
	switch imported := in.areRejects(); {
	case imported && result.Rejected == 0:
		result.Removed = in.cfg.Path
		return os.Remove(in.cfg.Path)
	case imported:
		result.RejectsPath = in.cfg.Path
		return out.replace(in.cfg.Path)
	case result.Rejected > 0:
		result.RejectsPath, result.RejectsTaken, err = out.create()
	}
	return err
}
