package check

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeFile = "../../docker-compose.yml"

// loadCompose reads docker-compose.yml as docker compose does, with every profile.
func loadCompose(t *testing.T, environment []string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{composeFile}, cli.WithProfiles([]string{"*"}), cli.WithEnv(environment))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

// writtenPasswords runs the command of deploy/README.md twice, and returns the lines of its .env.
func writtenPasswords(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile("(?s)```sh\n(\\[ -e \\.env .*?)docker compose up --wait\n```").FindSubmatch(readme)
	if command == nil {
		t.Fatal("deploy/README.md has no command that writes .env")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, ".env")
	var first []byte
	for range 2 {
		shell := exec.Command("bash", "-euc", string(command[1]))
		shell.Dir = dir
		if out, err := shell.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(content, first) {
			t.Error("the second run changes the passwords")
		}
		first = content
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v (%v), want mode 0600", info, err)
	}
	return strings.Fields(string(first))
}

// TestCompose checks what docker-compose.yml starts, and what can reach it.
func TestCompose(t *testing.T) {
	project, err := loadCompose(t, writtenPasswords(t))
	if err != nil {
		t.Fatal(err)
	}
	networks := map[string]string{
		"ingress": "api database monitoring nats", "worker": "database monitoring nats", "migrate": "database nats",
		"forward": "monitoring nats",
		"roles":   "database", "rights": "database", "nats": "monitoring nats", "nats-exporter": "", "postgres": "database",
		"prometheus": "monitoring", "grafana": "monitoring", "jaeger": "monitoring",
	}
	if got, want := project.ServiceNames(), slices.Sorted(maps.Keys(networks)); !slices.Equal(got, want) {
		t.Errorf("services %v, want %v", got, want)
	}
	after := map[string]string{
		"roles": "postgres", "migrate": "nats roles", "rights": "migrate", "ingress": "rights", "worker": "rights", "forward": "rights",
		"nats-exporter": "nats", // whose network it has
	}
	if !project.Networks["database"].Internal {
		t.Error("the network of the database is not internal")
	}
	for name, service := range project.Services {
		if got := strings.Join(slices.Sorted(maps.Keys(service.Networks)), " "); got != networks[name] {
			t.Errorf("%s is on the networks %s, want %s", name, got, networks[name])
		}
		if got := strings.Join(slices.Sorted(maps.Keys(service.DependsOn)), " "); got != after[name] {
			t.Errorf("%s starts after %s, want %s", name, got, after[name])
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: other machines reach port %s", name, port.Published)
			}
		}
		for _, volume := range service.Volumes {
			if volume.Type != "bind" {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if service.Image != "clientele:local" {
			continue
		}
		help := help(t, service.Command)
		for setting := range service.Environment {
			if strings.HasPrefix(setting, "CLIENTELE_") && !strings.Contains(help, "$"+setting+")") {
				t.Errorf("%s has no setting %s", name, setting)
			}
		}
	}
}

// TestComposeHasNoDefaultPasswords checks that each password is required, and that each process has those of its role only.
func TestComposeHasNoDefaultPasswords(t *testing.T) {
	environment := writtenPasswords(t)
	passwords := map[string]string{} // by value
	for i, line := range environment {
		name, password, _ := strings.Cut(line, "=")
		if passwords[password] != "" || len(password) < 32 {
			t.Errorf("%s is %q", name, password)
		}
		passwords[password] = name
		without := slices.Delete(slices.Clone(environment), i, i+1)
		if _, err := loadCompose(t, without); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	project, err := loadCompose(t, environment)
	if err != nil {
		t.Fatal(err)
	}
	roles := "POSTGRES_INGRESS_PASSWORD POSTGRES_OPERATOR_PASSWORD POSTGRES_OWNER_PASSWORD POSTGRES_PASSWORD POSTGRES_WORKER_PASSWORD"
	for name, want := range map[string]string{
		"ingress":    "NATS_INGRESS_PASSWORD POSTGRES_INGRESS_PASSWORD",
		"worker":     "NATS_WORKER_PASSWORD POSTGRES_WORKER_PASSWORD",
		"forward":    "NATS_FORWARD_PASSWORD",
		"migrate":    "NATS_OPERATOR_PASSWORD POSTGRES_OWNER_PASSWORD",
		"roles":      roles,
		"rights":     roles,
		"nats":       "NATS_FORWARD_PASSWORD NATS_INGRESS_PASSWORD NATS_MAILER_PASSWORD NATS_OPERATOR_PASSWORD NATS_WORKER_PASSWORD",
		"postgres":   "POSTGRES_PASSWORD",
		"prometheus": "", "grafana": "", "jaeger": "", "nats-exporter": "",
	} {
		found := map[string]bool{}
		for _, value := range project.Services[name].Environment {
			for password, variable := range passwords {
				if value != nil && strings.Contains(*value, password) {
					found[variable] = true
				}
			}
		}
		if got := strings.Join(slices.Sorted(maps.Keys(found)), " "); got != want {
			t.Errorf("%s has %s, want %s", name, got, want)
		}
	}
	for name, role := range map[string]string{"ingress": "ingress", "worker": "worker", "migrate": "owner"} {
		if url := project.Services[name].Environment["CLIENTELE_DATABASE_URL"]; !strings.HasPrefix(*url, "postgres://clientele_"+role+":") {
			t.Errorf("%s uses %s, want the role clientele_%s", name, *url, role)
		}
	}
}
