package importer

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"clientele/domain"
)

// row is one client of a file.
type row struct {
	order  int    // position among the rows of this file
	number int    // as a spreadsheet counts, or an editor lines: the header of a CSV file is 1. Of rejects, that in the first file
	raw    any    // as the rejects file needs it
	body   []byte // the request
	id     string // value of the key column
	key    string // idempotency key
	err    string // why the row cannot be sent
}

// rows reads a file, and writes those of its rows that are rejected.
type rows interface {
	// next returns io.EOF at the end. Another error says that the rest cannot be read.
	next() (row, error)
	// head writes what a file of rejects begins with.
	head(w io.Writer) error
	// reject writes a row with its number and the reasons, so that it can be corrected and imported again.
	reject(w io.Writer, r row, reasons []string) error
	// areRejects reports whether the file has what reject writes.
	areRejects() bool
}

// The names under which a rejects file has the row's number and the reasons. An import leaves them out.
const (
	columnRow    = "import_row"
	columnErrors = "import_errors"
)

func isBookkeeping(column string) bool { return column == columnRow || column == columnErrors }

// members are what a column may be called: the members of a client as the API has them, those of an object in it behind a dot.
// Those that are true or false have true here.
var members = func() map[string]bool {
	found := map[string]bool{}
	var add func(t reflect.Type, prefix string)
	add = func(t reflect.Type, prefix string) {
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				add(inner, prefix+name+".")
			} else {
				found[prefix+name] = inner.Kind() == reflect.Bool
			}
		}
	}
	add(reflect.TypeFor[domain.Details](), "")
	return found
}()

func memberNames() string { return strings.Join(slices.Sorted(maps.Keys(members)), ", ") }

// input is the file that is imported.
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

// checkKeyColumn refuses a key column that is needed for something else, because it is not sent.
func (c Config) checkKeyColumn() error {
	top, _, _ := strings.Cut(c.KeyColumn, ".")
	_, isMember := members[c.KeyColumn]
	_, isMapped := c.Map[c.KeyColumn]
	switch {
	case c.KeyColumn == "":
		return nil
	case isMember || top == "address" || top == "communicationPreferences":
		return fmt.Errorf("--key-column %s is a part of the client, and a key column is not sent: name another column", c.KeyColumn)
	case isMapped || isBookkeeping(c.KeyColumn):
		return fmt.Errorf("--key-column and --map must not name the same column, and neither %s nor %s", columnRow, columnErrors)
	}
	return nil
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

// size returns the size of the file, 0 if it is not known.
func (in *input) size() int64 {
	if in.info == nil || !in.info.Mode().IsRegular() {
		return 0
	}
	return in.info.Size()
}

// rejectsName matches the name of a file of rejects. Its groups are the name of the file that was imported first.
var rejectsName = regexp.MustCompile(`^(.+)\.rejects(?:\.\d+)?(\.[^.]+)?$`)

// rejectsPath returns where rejects go unless that file exists: beside the file, with its extension, which tells the format.
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

// areRejects reports whether the file is one of rejects that an import wrote, and that nobody has changed since this import
// opened it. Call it when all rows were read.
func (in *input) areRejects() bool {
	if in.info == nil || in.cfg.Rejects != "" || !rejectsName.MatchString(filepath.Base(in.cfg.Path)) || !in.rows.areRejects() {
		return false
	}
	now, err := os.Lstat(in.cfg.Path)
	return err == nil && now.Mode().IsRegular() && os.SameFile(now, in.info) &&
		now.ModTime().Equal(in.info.ModTime()) && now.Size() == in.info.Size()
}
