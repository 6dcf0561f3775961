package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
)

// exported returns a rejection with a client.
func exported(id, caller, lastName string) domain.Rejection {
	return domain.Rejection{
		ID: id, Reason: domain.CodeUnstorable, RejectedAt: time.Now(), Errors: []domain.Violation{{Pointer: "/lastName", Detail: "is too Welsh"}},
		Command: domain.RejectedCommand{
			Headers: map[string][]string{domain.HeaderCaller: {caller}},
			Body:    []byte(`{"firstName":"Jane","lastName":"` + lastName + `"}`),
		},
	}
}

func TestRejectionsExport(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	if stdout, stderr := r.prints("export", "--all"); stdout != "" || stderr != "no rejections\n" {
		t.Errorf("%q %q", stdout, stderr)
	}
	const id = "01a1f0de-7c5e-7000-8000-000000000001"
	r.reject(exported(id, "crm", "Smith"), exported("b", "shop", "\u202eJones"), exported("c", "crm", "Evans"))
	const line = `{"firstName":"Jane","import_errors":[{"pointer":"/lastName","detail":"is too Welsh"}],"lastName":"%s","rejection_id":"%s"}` + "\n"
	smith, evans := fmt.Sprintf(line, "Smith", id), fmt.Sprintf(line, "Evans", "c")
	for want, args := range map[string][]string{
		smith + evans:                         {"--caller=crm"},
		evans + smith:                         {"c", id, "c"},
		fmt.Sprintf(line, `\u202eJones`, "b"): {"--caller=shop", "--pointer=/lastName"},
	} {
		stdout, stderr := r.prints(append([]string{"export"}, args...)...)
		if n := strings.Count(want, "\n"); stdout != want || stderr != fmt.Sprintf("exported %d, skipped 0\n", n) {
			t.Errorf("%v: %s%s", args, stdout, stderr)
		}
	}
	if status, stdout, stderr := r.run("export", "c", "nobody"); status != cli.ExitError || stdout != evans ||
		stderr != "no rejection has the id nobody\nexported 1, skipped 0\nclientele: 1 id without a rejection\n" {
		t.Errorf("%d %s%s", status, stdout, stderr)
	}
	file := filepath.Join(t.TempDir(), "bad.ndjson")
	if stdout, _ := r.prints("export", "--caller=crm", "--output", file); stdout != "" {
		t.Errorf("%s", stdout)
	}
	content, err := os.ReadFile(file)
	if info, statErr := os.Stat(file); err != nil || statErr != nil || info.Mode().Perm() != 0o600 || string(content) != smith+evans {
		t.Errorf("%v %v: %s", err, info, content)
	}
	if status, _, stderr := r.run("export", "--all", "--output", file); status != cli.ExitError || !strings.Contains(stderr, "--output: open "+file+": file exists") {
		t.Errorf("%d %s", status, stderr)
	}
	if len(r.ids()) != 3 {
		t.Errorf("left: %v", r.ids())
	}
}

// What has no client is reported and left out. It does not stop the export of the others.
func TestRejectionsExportSkips(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	r.reject(
		domain.Rejection{ID: "erased", Reason: domain.CodeErased},
		domain.Rejection{ID: "garbage", Reason: domain.CodeUndecodable, Command: domain.RejectedCommand{Body: []byte("garbage")}},
		domain.Rejection{ID: "null", Reason: domain.CodeUndecodable, Command: domain.RejectedCommand{Body: []byte("null")}},
		exported("d", "crm", "Smith"),
	)
	if _, err := r.js.Publish(t.Context(), domain.SubjectRejected+"strange", []byte(`{"id":1}`)); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := r.run("export", "--all")
	if status != cli.ExitError || !strings.Contains(stdout, `"rejection_id":"d"}`) || strings.Count(stdout, "\n") != 1 {
		t.Errorf("%d %s", status, stdout)
	}
	const noObject = ": the body of its command is not a JSON object; rejections show --body prints it\n"
	if stderr != "skipped erased: its client was erased, and was not kept\nskipped garbage"+noObject+"skipped null"+noObject+
		"skipped strange: its message is not a rejection, so it has no client\nexported 1, skipped 4\n"+
		"clientele: exported 1 of 5; see above why the others were skipped\n" {
		t.Errorf("%s", stderr)
	}
}

// Each client that is exported is recorded first. What cannot be recorded is not exported.
func TestRejectionsExportIsRecorded(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	const n = 600 // more than two pages
	var many []domain.Rejection
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("01a1f0de-7c5e-7000-8000-%012d", i))
		many = append(many, exported(want[i], "crm", "Smith"))
	}
	r.reject(many...)
	file := filepath.Join(t.TempDir(), "bad.ndjson")
	r.prints("export", "--all", "--output", file, "--operator=Jane")
	var got []string
	for _, msg := range testcluster.Messages(t, r.url, domain.StreamAudit) {
		record, err := domain.ParseAuditRecord(msg.Data)
		if err != nil || record.Action != domain.AuditRejectionRead || record.Result != domain.AuditSucceeded || record.Actor.Name != "Jane" {
			t.Errorf("%v: %+v", err, record)
		}
		got = append(got, record.ClientID.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d records", len(got))
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range slices.Collect(strings.Lines(string(content))) {
		var client map[string]any
		if err := json.Unmarshal([]byte(line), &client); err != nil || client["rejection_id"] != want[i] {
			t.Errorf("%v: %s", err, line)
		}
	}
	stream, err := r.js.Stream(t.Context(), domain.StreamAudit)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgSize = 1
	if _, err := r.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := r.run("export", "--all")
	if status != cli.ExitError || stdout != "" || !strings.Contains(stderr, "cannot be recorded") {
		t.Errorf("%d %s%s", status, stdout, stderr)
	}
	partial := filepath.Join(t.TempDir(), "partial.ndjson")
	r.run("export", "--all", "--output", partial)
	if _, err := os.Stat(partial); !os.IsNotExist(err) {
		t.Errorf("a file is left: %v", err)
	}
}
