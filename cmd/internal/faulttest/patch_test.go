//go:build faults

package faulttest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"clientele/cmd/internal/testcluster"
)

// patch is a change to the source for a build of the fault suite. go build -overlay applies it: no file of the repository changes, and
// a release has neither hooks nor switches. A patch whose old string no longer occurs is an error.
type patch struct {
	file     string // from the root of the module
	old, new string // each occurrence is replaced
}

// points are the places at which a process can kill itself, and the clock that can be stepped.
var points = []patch{
	{"publisher/log.go", "\tfor i, r := range requests {\n\t\tr.answer", "\tfaults.Reached(`after-publish`)\n\tfor i, r := range requests {\n\t\tr.answer"},
	{"consumer/batch.go", "\tfor i, v := range stored {", "\tfaults.Reached(`after-commit`)\n\tfor i, v := range stored {"},
	{"consumer/batch.go", "\tif len(rejections) == 0 {", "\tfaults.Reached(`after-event`)\n\tif len(rejections) == 0 {"},
	{"consumer/batch.go", "\t\tacknowledge := msg.Ack\n", "\t\tfaults.Reached(`before-ack`)\n\t\tacknowledge := msg.Ack\n"},
	{"consumer/batch.go", "time.Now()", "faults.Now()"},
	{"consumer/trim.go", "time.Now().Add(", "faults.Now().Add("},
	{"publisher/ingress/create.go", "time.Now()", "faults.Now()"},
}

var usesHooks = regexp.MustCompile(`\bfaults\.`)

var builds sync.Map // of func() error, by name

// build builds the program once under this name, with the points and these patches. It returns its path.
func build(t testing.TB, name string, patches ...patch) string {
	t.Helper()
	once, _ := builds.LoadOrStore(name, sync.OnceValue(func() error {
		overlay, err := writeOverlay(filepath.Join(testcluster.Programs, name+".overlay"), append(patches, points...))
		if err != nil {
			return err
		}
		return testcluster.GoBuild(name, "clientele/cmd/clientele", "-overlay", overlay)
	}))
	if err := once.(func() error)(); err != nil {
		t.Fatalf("build %s: %v", name, err)
	}
	return filepath.Join(testcluster.Programs, name)
}

// writeOverlay writes the patched files and the overlay that names them into a directory. It returns the path of the overlay.
func writeOverlay(dir string, patches []patch) (string, error) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		return "", err
	}
	sources := map[string]string{}
	for _, p := range patches {
		if sources[p.file] == "" {
			source, err := os.ReadFile(filepath.Join(root, p.file))
			if err != nil {
				return "", err
			}
			sources[p.file] = string(source)
		}
		if !strings.Contains(sources[p.file], p.old) {
			return "", &os.PathError{Op: "patch", Path: p.file, Err: os.ErrInvalid}
		}
		sources[p.file] = strings.ReplaceAll(sources[p.file], p.old, p.new)
	}
	hooks, err := filepath.Abs("testdata/faults/faults.go")
	if err != nil {
		return "", err
	}
	replace := map[string]string{filepath.Join(root, "faults", "faults.go"): hooks}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	for file, source := range sources {
		if usesHooks.MatchString(source) {
			source = strings.Replace(source, "import (", "import (\n\t\"clientele/faults\"", 1)
		}
		patched := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(patched, []byte(source), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = patched
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}
