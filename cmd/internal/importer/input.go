package importer

import (
	"bufio"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// input is the file to import.
type input struct {
	cfg    Config
	file   *os.File // nil for standard input
	info   fs.FileInfo
	format string
	rows   rows
	read   atomic.Int64 // bytes so far
}

func open(cfg Config) (in *input, err error) {
	if err := cfg.checkKeyColumn(); err != nil {
		return nil, err
	}
	in = &input{cfg: cfg}
	from := cfg.Stdin
	if cfg.Path != "-" {
		if in.file, err = os.Open(cfg.Path); err != nil {
			return nil, err
		}
		if in.info, err = in.file.Stat(); err != nil {
			in.close()
			return nil, err
		}
		from = in.file
	}
	text := buffered(from, &in.read)
	if bom, _ := text.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = text.Discard(len(bom))
	}
	if in.format = cfg.Format; in.format == "auto" {
		in.format = guess(cfg.Path, text)
	}
	if in.format == "ndjson" {
		in.rows = &lineRows{file: text, keyColumn: cfg.KeyColumn}
	} else if in.rows, err = newCSVRows(text, cfg.Delimiter, cfg.Map, cfg.KeyColumn); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

func guess(path string, text *bufio.Reader) (format string) {
	switch start, _ := text.Peek(1); strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		return "csv"
	case ".ndjson", ".jsonl":
		return "ndjson"
	default:
		if string(start) == "{" {
			return "ndjson"
		}
		return "csv"
	}
}

func (in *input) close() {
	if in.file != nil {
		_ = in.file.Close() // it was only read
	}
}

// size returns the size of the file in bytes, or 0 if it is unknown.
func (in *input) size() int64 {
	if in.info == nil || !in.info.Mode().IsRegular() {
		return 0
	}
	return in.info.Size()
}

// rejectsPath returns the path of the rejects file, before a number is added because the file exists. The default is beside the
// imported file, with the same extension, which determines the format.
func (in *input) rejectsPath() string {
	dir, name := filepath.Split(in.cfg.Path)
	switch {
	case in.cfg.Rejects != "":
		return in.cfg.Rejects
	case in.cfg.Path == "-":
		return "stdin.rejects." + in.format
	}
	stem, extension := split(name)
	if parts := rejectsName.FindStringSubmatch(name); parts != nil {
		stem, extension = parts[1], parts[2]
	}
	return dir + stem + ".rejects" + extension
}

// areRejects reports whether the file is a rejects file of an import, unchanged since this import opened it. Call it after all
// rows were read.
func (in *input) areRejects() bool {
	if in.info == nil || in.cfg.Rejects != "" || !rejectsName.MatchString(filepath.Base(in.cfg.Path)) || !in.rows.areRejects() {
		return false
	}
	now, err := os.Lstat(in.cfg.Path)
	return err == nil && now.Mode().IsRegular() && os.SameFile(now, in.info) &&
		now.ModTime().Equal(in.info.ModTime()) && now.Size() == in.info.Size()
}

// reader counts the bytes that it reads.
type reader struct {
	io.Reader

	n *atomic.Int64
}

func (r reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n.Add(int64(n))
	return n, err
}

func buffered(r io.Reader, n *atomic.Int64) *bufio.Reader {
	return bufio.NewReaderSize(reader{r, n}, 64<<10)
}
