package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/subscription"

	"github.com/google/uuid"
)

// TestExport exports a client with a message on each stream and a hold, and then what an erasure leaves of it.
func TestExport(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, 2)
	client := r.clients[0]
	id := client.ID.String()
	if _, err := r.js.Publish(t.Context(), domain.SubjectCreate+id, []byte("\xffgarbage")); err != nil {
		t.Fatal(err)
	}
	outcomes, err := publisher.OpenOutcomePublisher(t.Context(), r.js.Conn())
	if err != nil {
		t.Fatal(err)
	}
	rejection := domain.Rejection{ID: id, Reason: domain.CodeInvalid, RejectedAt: time.Now(), Command: domain.RejectedCommand{Body: []byte(`{"lastName":"Rejected"}`)}}
	if err := outcomes.PublishRejections([]domain.Rejection{rejection}); err != nil {
		t.Fatal(err)
	}
	if _, err := subscription.Create(t.Context(), r.js, subscription.Config{Name: "crm"}); err != nil {
		t.Fatal(err)
	}
	r.run(t, cli.ExitOK, "erase", id, "--legal-hold=2999-12-31", "--reason=case 12")
	export := func(t *testing.T, args ...string) map[string]any {
		t.Helper()
		file := filepath.Join(t.TempDir(), "client.json")
		r.flags = r.flags[:4] // without --yes
		if out, stderr := r.run(t, cli.ExitOK, append([]string{"export", id, "--output", file}, args...)...); out+stderr != "" {
			t.Errorf("%s%s", out, stderr)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v: %v", err, info)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := json.Unmarshal(content, &object); err != nil {
			t.Fatal(err)
		}
		return object
	}
	x := export(t)
	at := func(path string) any {
		t.Helper()
		var value any = x
		for name := range strings.SplitSeq(path, "/") {
			switch v := value.(type) {
			case map[string]any:
				value = v[name]
			case []any:
				if len(v) != 1 {
					t.Fatalf("%s has %d elements", path, len(v))
				}
				value = v[0]
			}
		}
		return value
	}
	for path, want := range map[string]any{
		"id":                          id,
		"client/lastName":             client.LastName,
		"client/acceptedAt":           client.AcceptedAt.Format(time.RFC3339Nano),
		"client/createdAt":            client.CreatedAt.Format(time.RFC3339Nano),
		"client/fingerprint":          client.Fingerprint.String(),
		"command/subject":             "client.create." + id,
		"command/bodyBase64":          "/2dhcmJhZ2U=",
		"rejection/body/reason":       "invalid",
		"rejection/request/lastName":  "Rejected",
		"events/0/body/lastName":      client.LastName,
		"events/0/headers/ce-subject": []any{id},
		"events/0/sequence":           1.0,
		"erasure":                     nil,
		"legalHold/until":             "2999-12-31",
	} {
		got := at(path)
		if list, ok := got.([]any); ok && len(list) == 1 {
			got, want = list[0], id
		}
		if got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	places, err := json.Marshal(x["copies"])
	if err != nil || !bytes.Contains(places, []byte(`"subscriber crm"`)) || !bytes.Contains(places, []byte("backups")) {
		t.Errorf("the copies are in %s", places)
	}

	// An erased client has a tombstone, and client.erased.
	gone := r.clients[1].ID.String()
	r.run(t, cli.ExitOK, "erase", gone, "--yes", "--reason=ticket")
	out, _ := r.run(t, cli.ExitOK, "export", gone)
	x = map[string]any{}
	if err := json.Unmarshal([]byte(out), &x); err != nil {
		t.Fatal(err)
	}
	if x["client"] != nil || at("erasure/reason") != "ticket" || at("events/0/body/id") != gone || strings.Contains(out, r.clients[1].LastName) {
		t.Errorf("after an erasure: %s", out)
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, 1)
	r.flags = r.flags[:4]
	id, unknown := r.clients[0].ID.String(), uuid.NewString()
	if out, stderr := r.run(t, cli.ExitError, "export", unknown); out != "" || stderr != "clientele: nothing about "+unknown+" was found\n" {
		t.Errorf("%s%s", out, stderr)
	}
	if _, stderr := r.run(t, cli.ExitUsage, "export", "Jane"); !strings.Contains(stderr, "the id is not a UUID") {
		t.Errorf("%s", stderr)
	}
	dir := t.TempDir()
	existing, link, target := filepath.Join(dir, "existing"), filepath.Join(dir, "link"), filepath.Join(dir, "target")
	if err := os.WriteFile(existing, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{existing, link} {
		if _, stderr := r.run(t, cli.ExitError, "export", id, "--output", path); !strings.Contains(stderr, "--output: open "+path+": file exists") {
			t.Errorf("%s", stderr)
		}
	}
	if content, err := os.ReadFile(existing); err != nil || string(content) != "mine" {
		t.Errorf("%v: the file has %s", err, content)
	}
	if _, err := os.Stat(target); !os.IsNotExist(err) {
		t.Errorf("the link was followed: %v", err)
	}
}
