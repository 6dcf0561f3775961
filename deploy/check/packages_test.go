//go:build packages

package check

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/template"

	"sigs.k8s.io/yaml"
)

// nfpm is the part of goreleaser that writes packages. Building goreleaser itself takes minutes: see make snapshot.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2"

// packageVersion is the version of the packages that the tests build.
const packageVersion = "1.2.3"

// release is what the tests use of .goreleaser.yaml.
type release struct {
	Before struct{ Hooks []string }
	Builds []struct {
		Main                string
		Env, Flags, Ldflags []string
	}
	Nfpms []map[string]any
	Sboms []struct {
		Cmd  string
		Args []string
	}
}

// readRelease reads the configuration in a clone, with its templates filled in.
func readRelease(t *testing.T, clone string) (r release) {
	t.Helper()
	commit := run(t, clone, nil, "git", "log", "-1", "--format=%cI %ct")
	date, timestamp, _ := strings.Cut(strings.TrimSpace(commit), " ")
	functions := template.FuncMap{
		"envOrDefault": func(_, value string) string { return value },
		"incpatch":     func(version string) string { return version },
	}
	parsed, err := template.New(".goreleaser.yaml").Funcs(functions).ParseFiles(filepath.Join(clone, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, map[string]string{"Version": packageVersion, "CommitDate": date, "CommitTimestamp": timestamp}); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text.Bytes(), &r); err != nil || len(r.Builds) != 1 || len(r.Nfpms) != 1 || len(r.Sboms) != 1 {
		t.Fatalf("%v: %+v", err, r)
	}
	return r
}

// run runs a program and returns its standard output.
func run(t *testing.T, dir string, environment []string, program string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), environment...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %v: %v: %s%s", program, args, err, out, &stderr)
	}
	return string(out)
}

// buildPackages clones the last commit into a directory, which it creates, and builds the program, the packages and the SBOM there, as
// goreleaser does. It returns the directory with the results.
func buildPackages(t *testing.T, clone string, environment ...string) (results string) {
	t.Helper()
	run(t, ".", nil, "git", "clone", "--quiet", "../..", clone)
	r := readRelease(t, clone)
	for _, hook := range r.Before.Hooks {
		words := strings.Fields(hook)
		run(t, clone, environment, filepath.Join(clone, words[0]), words[1:]...)
	}
	results = filepath.Join(clone, ".tools", "results")
	if err := os.MkdirAll(results, 0o755); err != nil {
		t.Fatal(err)
	}
	b := r.Builds[0]
	args := slices.Concat([]string{"build", "-o", ".tools/results/clientele", "-ldflags", strings.Join(b.Ldflags, " ")}, b.Flags, []string{b.Main})
	run(t, clone, append(environment, b.Env...), "go", args...)

	config := maps.Clone(r.Nfpms[0])
	delete(config, "formats")
	config["name"], config["arch"], config["version"] = "clientele", runtime.GOARCH, packageVersion
	config["contents"] = append(slices.Clone(config["contents"].([]any)), map[string]any{
		"src": ".tools/results/clientele", "dst": "/usr/bin/clientele", "file_info": map[string]any{"mode": 0o755},
	})
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(clone, ".tools", "nfpm.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range r.Nfpms[0]["formats"].([]any) {
		run(t, clone, nil, "go", "run", nfpm, "package", "--config", ".tools/nfpm.yaml", "--packager", format.(string), "--target", ".tools/results/clientele."+format.(string))
	}
	for i, arg := range r.Sboms[0].Args {
		r.Sboms[0].Args[i] = strings.NewReplacer("$document", "clientele.cdx.json", "$artifact", "clientele").Replace(arg)
	}
	run(t, results, nil, r.Sboms[0].Cmd, r.Sboms[0].Args...)
	if err := os.Rename(filepath.Join(clone, ".tools", "docs"), filepath.Join(results, "docs")); err != nil {
		t.Fatal(err)
	}
	return results
}

// sums returns the SHA-256 of each file in a directory.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		found[path] = fmt.Sprintf("%x", sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestPackages builds the packages for this processor twice, in different directories, and checks, installs and removes them in a directory
// that becomes the root of a file system. It requires root on Linux, and tests the last commit. Both builds use the cache of Go, whose key
// contains everything that -trimpath leaves: that the compiler is deterministic is not tested again.
func TestPackages(t *testing.T) {
	t.Setenv("GOFLAGS", "")
	first := buildPackages(t, filepath.Join(t.TempDir(), "a"))
	second := buildPackages(t, filepath.Join(t.TempDir(), "another", "directory"))
	t.Run("reproducible", func(t *testing.T) {
		one, other := sums(t, first), sums(t, second)
		for name, sum := range one {
			if other[name] != sum {
				t.Errorf("two builds of %s differ", name)
			}
		}
		if len(one) < 20 || len(one) != len(other) {
			t.Errorf("%d and %d files", len(one), len(other))
		}
	})
	t.Run("SBOM", func(t *testing.T) {
		billOfMaterials(t, filepath.Join(first, "clientele"), filepath.Join(first, "clientele.cdx.json"))
	})
	t.Run("manual pages", func(t *testing.T) { manualPages(t, filepath.Join(first, "docs", "man")) })
	t.Run("deb", func(t *testing.T) {
		file := filepath.Join(first, "clientele.deb")
		packageFiles(t, run(t, ".", nil, "dpkg-deb", "--contents", file), "/usr/share/zsh/vendor-completions/_clientele")
		if fields := run(t, ".", nil, "dpkg-deb", "--field", file, "Package", "Version", "Architecture"); fields !=
			"Package: clientele\nVersion: "+packageVersion+"\nArchitecture: "+runtime.GOARCH+"\n" {
			t.Error(fields)
		}
		dpkg := func(root string, args ...string) {
			run(t, ".", nil, "dpkg", append([]string{"--root=" + root}, args...)...)
		}
		installs(t, func(root string) { dpkg(root, "--install", file) }, func(root string) { dpkg(root, "--purge", "clientele") })
	})
	t.Run("rpm", func(t *testing.T) {
		file := filepath.Join(first, "clientele.rpm")
		packageFiles(t, run(t, ".", nil, "rpm", "--query", "--package", "--list", "--verbose", file), "/usr/share/zsh/site-functions/_clientele")
		run(t, ".", nil, "rpm", "--checksig", file)
		if host := run(t, ".", nil, "rpm", "--query", "--package", "--queryformat", "%{BUILDHOST}", file); host != "localhost" {
			t.Errorf("the package has the name of this machine: %s", host)
		}
		rpm := func(root string, args ...string) {
			run(t, ".", nil, "rpm", append([]string{"--root=" + root}, args...)...)
		}
		installs(t, func(root string) { rpm(root, "--upgrade", "--nodeps", "--replacepkgs", file) }, func(root string) { rpm(root, "--erase", "clientele") })
	})
}
