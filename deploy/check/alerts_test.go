package check

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// alert is an alert of a file of rules.
type alert struct {
	Alert, Expr string
	Labels      map[string]string
	Annotations map[string]string
}

// alerts returns the alerts of all files of rules, by name.
func alerts(t *testing.T) map[string]alert {
	t.Helper()
	found := map[string]alert{}
	for _, path := range glob(t, "../prometheus/*.rules.yml") {
		var file struct{ Groups []struct{ Rules []alert } }
		load(t, path, &file)
		for _, group := range file.Groups {
			for _, a := range group.Rules {
				found[a.Alert] = a
			}
		}
	}
	return found
}

// TestAlerts runs promtool's unit tests of the alerts. For each alert they must have a time at which it fires, with the labels that its
// annotations name, and one at which it does not.
func TestAlerts(t *testing.T) {
	files := glob(t, "../prometheus/*.test.yml")
	if out, err := exec.Command("promtool", append([]string{"test", "rules"}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("%v, see .ci/install promtool: %s", err, out)
	}
	if out, err := exec.Command("promtool", append([]string{"check", "rules"}, glob(t, "../prometheus/*.rules.yml")...)...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	silent, firing := map[string]bool{}, map[string][]string{} // the labels of the series that fire
	for _, path := range files {
		var file struct {
			Tests []struct {
				Checks []struct {
					Expr    string
					Samples []struct{ Labels string } `json:"exp_samples"`
				} `json:"promql_expr_test"`
			}
		}
		load(t, path, &file)
		for _, test := range file.Tests {
			for _, c := range test.Checks {
				found := regexp.MustCompile(`^ALERTS\{alertstate="firing",alertname="(\w+)"\}$`).FindStringSubmatch(c.Expr)
				if found == nil {
					t.Fatalf("%s: %s does not ask whether one alert fires", path, c.Expr)
				}
				silent[found[1]] = silent[found[1]] || len(c.Samples) == 0
				for _, s := range c.Samples {
					firing[found[1]] = append(firing[found[1]], s.Labels)
				}
			}
		}
	}
	known := alerts(t)
	for name, a := range known {
		if !silent[name] || len(firing[name]) == 0 {
			t.Errorf("%s: the tests have no time at which it fires, or none at which it does not", name)
		}
		for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(strings.Join(slices.Collect(maps.Values(a.Annotations)), " "), -1) {
			if slices.ContainsFunc(firing[name], func(labels string) bool { return !strings.Contains(labels, ","+label[1]+`="`) }) {
				t.Errorf("%s: its annotations name the label %s, which it does not have", name, label[1])
			}
		}
	}
}

// glob returns the files that match.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return paths
}

// load parses a YAML file.
func load(t *testing.T, path string, to any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
