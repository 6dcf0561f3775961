//go:build packages

package check

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// manualPages formats each page, and expects its name, and no warning except that a list of values is longer than a line.
func manualPages(t *testing.T, dir string) {
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("%v: %v", err, pages)
	}
	for _, page := range pages {
		command := exec.Command("groff", "-K", "utf8", "-man", "-T", "utf8", "-ww", "-Wbreak", "-P-c", page)
		var warnings strings.Builder
		command.Stderr = &warnings
		out, err := command.Output()
		name := strings.TrimSuffix(filepath.Base(page), ".1")
		if title, _, _ := strings.Cut(string(out), " "); err != nil || warnings.Len() > 0 || title != strings.ToUpper(name)+"(1)" {
			t.Errorf("%s: %v: %s: %s", name, err, title, &warnings)
		}
	}
}

// billOfMaterials checks that an SBOM in the format of CycloneDX lists every module in a program, in its version.
func billOfMaterials(t *testing.T, program, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat  string
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(text, &bom); err != nil || bom.BOMFormat != "CycloneDX" {
		t.Fatalf("%v %s", err, text)
	}
	listed := map[string]string{}
	for _, c := range bom.Components {
		listed[c.Name] = c.Version
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil || len(info.Deps) < 20 {
		t.Fatal(err, info)
	}
	for _, module := range info.Deps {
		if listed[module.Path] != module.Version {
			t.Errorf("%s %s is listed as %q", module.Path, module.Version, listed[module.Path])
		}
	}
	if listed["std"] == "" {
		t.Error("the standard library is missing")
	}
}

// packageFiles checks the list of the files in a package: those that must be in it, their modes and their owners.
func packageFiles(t *testing.T, list, zsh string) {
	for path, mode := range map[string]string{
		"/usr/bin/clientele":                                  "-rwxr-xr-x",
		"/usr/lib/systemd/system/clientele.service":           "-rw-r--r--",
		"/usr/lib/sysusers.d/clientele.conf":                  "-rw-r--r--",
		"/etc/clientele/environment":                          "-rw-------",
		"/usr/share/man/man1/clientele.1":                     "-rw-r--r--",
		"/usr/share/man/man1/clientele-events-tail.1":         "-rw-r--r--",
		"/usr/share/bash-completion/completions/clientele":    "-rw-r--r--",
		"/usr/share/fish/vendor_completions.d/clientele.fish": "-rw-r--r--",
		"/usr/share/doc/clientele/copyright":                  "-rw-r--r--",
		"/usr/share/doc/clientele/README.md":                  "-rw-r--r--",
		"/usr/share/doc/clientele/deploy/nats/accounts.conf":  "-rw-r--r--",
		"/usr/share/doc/clientele/deploy/postgres/roles.sql":  "-rw-r--r--",
		zsh: "-rw-r--r--",
	} {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(mode) + `.*root[ /]+root .* \.?` + regexp.QuoteMeta(path) + `$`).MatchString(list) {
			t.Errorf("no %s %s in\n%s", mode, path, list)
		}
	}
}

// emptyRoot returns a directory with what a package manager requires of the root of a file system: a shell, and its own directories.
func emptyRoot(t *testing.T) string {
	root := t.TempDir()
	for _, dir := range []string{"bin", "tmp", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/rpm", "var/log", "usr/bin"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	libraries := regexp.MustCompile(`/\S+\.so\S*`).FindAllString(run(t, ".", nil, "ldd", shell), -1)
	for _, file := range libraries {
		run(t, ".", nil, "install", "-D", file, filepath.Join(root, file))
	}
	run(t, ".", nil, "install", shell, filepath.Join(root, "bin", "sh"))
	return root
}

// installs installs a package, upgrades it, and removes it.
func installs(t *testing.T, install, remove func(root string)) {
	root := emptyRoot(t)
	install(root)
	if version := run(t, ".", nil, "chroot", root, "/usr/bin/clientele", "version"); !strings.HasPrefix(version, "clientele "+packageVersion+" go") {
		t.Error(version)
	}
	unit(t, root)

	environment := filepath.Join(root, "etc/clientele/environment")
	const changed = "CLIENTELE_LISTEN=127.0.0.1:8081\n"
	if err := os.WriteFile(environment, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	install(root)
	if kept, err := os.ReadFile(environment); err != nil || string(kept) != changed {
		t.Errorf("after an upgrade: %v %s", err, kept)
	}

	data := filepath.Join(root, "var/lib/clientele/data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	remove(root)
	for _, path := range []string{"usr/bin/clientele", "usr/lib/systemd/system/clientele.service", "usr/share/man/man1/clientele.1"} {
		if _, err := os.Stat(filepath.Join(root, path)); !os.IsNotExist(err) {
			t.Errorf("%s remains: %v", path, err)
		}
	}
	if _, err := os.Stat(data); err != nil {
		t.Error("the data are gone:", err)
	}
}

// unit checks the installed unit beside those of systemd.
func unit(t *testing.T, root string) {
	units := filepath.Join(root, "usr/lib/systemd/system")
	run(t, ".", nil, "cp", "--recursive", "--no-dereference", "--no-clobber", "/usr/lib/systemd/system/.", units)
	run(t, ".", nil, "systemd-analyze", "verify", "--root="+root, "--man=no", "clientele.service")
	text, err := os.ReadFile(filepath.Join(units, "clientele.service"))
	if err != nil {
		t.Fatal(err)
	}
	page := regexp.MustCompile(`man:(\S+)\(1\)`).FindSubmatch(text)
	if page == nil {
		t.Fatal("the unit names no manual page")
	}
	if _, err := os.Stat(filepath.Join(root, "usr/share/man/man1", string(page[1])+".1")); err != nil {
		t.Error(err)
	}
}
