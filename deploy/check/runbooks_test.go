package check

import (
	"os"
	"strings"
	"testing"
)

// TestRunbooks checks that each alert has a section in deploy/README.md that says what it means, where to look and what to do, and that
// each section belongs to an alert.
func TestRunbooks(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(readme), "\n## Alerts\n")
	if !ok {
		t.Fatal("deploy/README.md has no section Alerts")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	sections := map[string]string{}
	for _, section := range strings.Split(text, "\n### ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		sections[name] = body
	}
	known := alerts(t)
	for name, a := range known {
		if url, want := a.Annotations["runbook_url"], "deploy/README.md#"+strings.ToLower(name); url != want {
			t.Errorf("%s: runbook_url is %q, want %s", name, url, want)
		}
		for _, part := range []string{"\n- **Meaning.** ", "\n- **Look.** ", "\n- **Act.** "} {
			if strings.Count(sections[name], part) != 1 {
				t.Errorf("%s: its section in deploy/README.md has no %q, or several", name, strings.TrimSpace(part))
			}
		}
	}
	for name := range sections {
		if _, ok := known[name]; !ok {
			t.Errorf("deploy/README.md: no alert is called %s", name)
		}
	}
}
