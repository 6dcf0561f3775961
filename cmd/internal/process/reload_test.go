package process_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"clientele/cmd/internal/process"
	"clientele/publisher/publishertest"

	"github.com/rs/zerolog"
)

// lines receives the log lines of a process.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write := func(content string) {
		t.Helper()
		// Editors and Kubernetes replace files like this.
		if err := os.WriteFile(file+".new", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	log := &lines{}
	p := process.New(process.Config{Log: zerolog.New(log), StopTimeout: time.Minute})
	t.Cleanup(func() { _ = p.Stop() })
	var mu sync.Mutex
	var loaded string
	load := func() (changed bool, err error) {
		content, err := os.ReadFile(file)
		if err != nil || string(content) == "bad" {
			return false, errors.Join(err, errors.New("it is bad"))
		}
		mu.Lock()
		defer mu.Unlock()
		changed = loaded != string(content)
		loaded = string(content)
		return changed, nil
	}
	is := func(want string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return loaded == want
		}
	}
	if err := p.Reload(t.Context(), "the file", load); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	write("one")
	if err := p.Reload(t.Context(), "the file", load); err != nil || !is("one")() {
		t.Fatalf("%v", err)
	}
	write("two")
	publishertest.Eventually(t, "the second one is read", is("two"))
	write("bad")
	publishertest.Eventually(t, "the bad one is told of", func() bool { return log.count("it is bad") > 0 })
	if !is("two")() {
		t.Error("the bad one is in force")
	}
	write("three")
	publishertest.Eventually(t, "the third one is read", is("three"))
	if n := log.count("it is bad"); n != 1 {
		t.Errorf("told of %d times", n)
	}
	// A file that cannot be read and then has the same content again is reloaded: its owner or mode was changed.
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "the missing file is logged", func() bool { return log.count("no such file") > 0 })
	reloaded := log.count("reloaded the file")
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "the file is reloaded", func() bool { return log.count("reloaded the file") > reloaded })
}
