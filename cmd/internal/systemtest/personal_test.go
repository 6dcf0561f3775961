package systemtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

// TestPersonalData drives every path at debug level, and looks for marked values in the output of the processes, in subjects and
// headers, and in problem documents.
func TestPersonalData(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys")
	token := testcluster.NewKey(t, keys, "pipeline", "clients:write,clients:read")
	database := storetest.StartPostgres(t)
	s := testcluster.NewOn(t, database.URL())
	traces := []string{"OTEL_TRACES_EXPORTER=console"}
	debug := func(role string, flags ...string) *testcluster.Process {
		p := testcluster.ClienteleWith(t, traces, role, append(append([]string{"--log-level=debug"}, flags...), s.Flags...)...)
		p.Ready()
		return p
	}
	auditLog := filepath.Join(t.TempDir(), "audit.log")
	ingress, worker := debug("ingress", "--keys-file", keys, "--rate-limit=1000", "--audit-log", auditLog), debug("worker")
	dir := t.TempDir()
	serve := testcluster.ClienteleWith(t, traces, "serve", "--data-dir", dir, "--log-level=debug", "--keys-file", keys, "--audit-log", auditLog)
	serve.Ready()

	var problems strings.Builder
	send := func(api, method, path, body string, headers ...string) (status int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, api+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("User-Agent", "zqmark")
		r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		r.Header.Set("Tracestate", "zqmark=zqmark")
		r.Header.Set("Baggage", "name=zqmark")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		answer, err := testcluster.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status >= 300 {
			fmt.Fprintln(&problems, answer.Header, answer.Body)
		}
		return answer.Status
	}
	good := fmt.Sprintf(testcluster.MarkedClient, "Zqmark")
	drive := func(api string, id func(caller, key string) uuid.UUID) {
		t.Helper()
		post := func(body string, headers ...string) {
			t.Helper()
			send(api, http.MethodPost, "/api/v2/clients", body, headers...)
		}
		post(good)
		post(good, "Idempotency-Key", "zqmark")
		post(good, "Idempotency-Key", "zqmark")
		post(fmt.Sprintf(testcluster.MarkedClient, "Zqmarked"), "Idempotency-Key", "zqmark")
		for _, change := range [][2]string{
			{`"zqmark@example.com"`, `"zqmark"`},
			{`"+447911123987"`, `"zqmark"`},
			{`"1961-03-07"`, `"zqmark"`},
			{`"JX987651A"`, `"zqmark"`},
			{`"https://example.com/zqmark"`, `"zqmark:x"`},
			{`"987654321012"`, `"zqmark"`},
			{`"firstName": "Zqmark"`, `"firstName": 987654321012`},
			{`"line_1": "Zqmark"`, `"line_1": ["zqmark"]`},
			{`"Zqmark"`, `"Zqmark` + "\x01" + `"`},
			{`"Zqmark"`, `"` + strings.Repeat("zqmark", 100) + `"`},
			{`{"email": true}`, `"zqmark"`},
			{`"Zqmark"`, "\"Zqmark\xff\""},
			{`"Zqmark",`, `"Zqmark" zqmark`},
			{`"Zqmark"`, `"Zqmark\ud800"`},
		} {
			post(strings.ReplaceAll(good, change[0], change[1]))
		}
		post(good[:len(good)/2])
		post(`"zqmark"`)
		post("zqmark", "Content-Type", "text/zqmark")
		post(good, "Content-Encoding", "zqmark")
		post(strings.Repeat(good, 200))
		post(good, "Idempotency-Key", strings.Repeat("zqmark", 100))
		post(good, "Authorization", "Bearer zqmark")
		post(good, "Authorization", "zqmark zqmark")
		post(good, "Accept", "text/zqmark")
		publishertest.Eventually(t, "a client is read", func() bool {
			return send(api, http.MethodGet, "/api/v2/clients/"+id("pipeline", "zqmark").String(), "") == http.StatusOK
		})
		for _, path := range []string{"/zqmark", "/api/v2/clients/zqmark", "/api/v2/operations/zqmark?zqmark=zqmark"} {
			send(api, http.MethodGet, path, "")
		}
		send(api, "ZQMARK", "/api/v2/clients", good)
	}
	inServe, err := testcluster.KeyedIDs(testcluster.JetStream(t, serve.NATSURL()).Conn())
	if err != nil {
		t.Fatal(err)
	}
	drive(ingress.API(), s.KeyedID)
	drive(serve.API(), inServe)
	publishertest.Eventually(t, "every command is processed", s.Drained)

	// Commands that no ingress published, and one that the database refuses.
	js := s.JetStream
	for _, msg := range []*nats.Msg{
		{Data: []byte("zqmark")},
		{Data: []byte(good)},
		{Data: []byte(good), Header: nats.Header{domain.HeaderFingerprint: {"zqmark"}, domain.HeaderAcceptedAt: {"zqmark"}}},
	} {
		msg.Subject = domain.SubjectCreate + publishertest.NewID(t).String()
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	conn := s.Session()
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), poisonOn); err != nil {
		t.Fatal(err)
	}
	send(ingress.API(), http.MethodPost, "/api/v2/clients", fmt.Sprintf(testcluster.MarkedClient, "Poison"))
	publishertest.Eventually(t, "every command is processed", s.Drained)
	// Both servers are unavailable for a while.
	database.Stop(t, true)
	send(ingress.API(), http.MethodPost, "/api/v2/clients", good, "Idempotency-Key", "zqmark away")
	worker.Says("store clients: waiting to try again")
	send(ingress.API(), http.MethodGet, "/api/v2/clients/"+s.KeyedID("pipeline", "zqmark").String(), "")
	s.NATS.Kill()
	send(ingress.API(), http.MethodPost, "/api/v2/clients", good)
	database.Start(t)
	s.NATS.Restart(t)
	publishertest.Eventually(t, "the ingress accepts again", func() bool { return testcluster.Get(t, ingress.Admin()+"/readyz").Status == http.StatusOK })
	send(ingress.API(), http.MethodPost, "/api/v2/clients", good)

	// Operators see no personal data unless they request it.
	erased := inServe("pipeline", "zqmark").String()
	for _, line := range [][]string{
		{"rejections", "ls", "--nats-url", s.NATS.URL},
		{"rejections", "ls", "--group", "--nats-url", s.NATS.URL},
		{"rejections", "ls", "--group", "--json", "--nats-url", s.NATS.URL},
		{"rejections", "retry", "--all", "--yes", "--nats-url", s.NATS.URL},
		{"keys", "ls", "--keys-file", keys},
		{"clients", "find", "--name", "Zqmark", "--data-dir", dir},
		{"clients", "find", "--email", "zqmark@example.com", "--data-dir", dir, "--json"},
		{"clients", "find", "--email", "zqmark", "--data-dir", dir},
		{"clients", "show", erased, "--data-dir", dir},
		{"clients", "show", erased, "--data-dir", dir, "--json"},
		{"events", "replay", "--since", "1h", "--yes", "--data-dir", dir},
		{"erase", "--yes", erased, "--data-dir", dir, "--nats-url", serve.NATSURL()},
		{"audit", "ls", "--data-dir", dir},
		{"audit", "ls", "--nats-url", s.NATS.URL, "--json"},
	} {
		_, stdout, stderr := testcluster.RunLine(t, line...)
		fmt.Fprintln(&problems, stdout, stderr)
	}
	readAndImport(t, auditLog, dir, ingress.API())
	var headers strings.Builder
	marks := slices.Clone(testcluster.Marks)
	for _, url := range []string{s.NATS.URL, serve.NATSURL()} {
		marks = append(marks, strings.ToLower(testcluster.Secret(t, url)))
		for _, stream := range []string{domain.StreamCommands, domain.StreamEvents, domain.StreamRejections} {
			for _, msg := range testcluster.Messages(t, url, stream) {
				if stream != domain.StreamCommands || msg.Header.Get(domain.HeaderCaller) != "" { // published by the test
					fmt.Fprintln(&headers, msg.Subject, msg.Header)
				}
			}
		}
	}
	records := auditTrail(t, s.NATS.URL, serve.NATSURL())
	for _, p := range []*testcluster.Process{ingress, worker, serve} {
		fmt.Fprintln(&headers, testcluster.Get(t, p.Admin()+"/metrics").Body)
		p.Stop()
	}
	copied, err := os.ReadFile(auditLog)
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]string{
		"the audit trail": records, "the audit log": string(copied),
		"the ingress's output, spans too": ingress.Output(), "the worker's output": worker.Output(), "serve's output": serve.Output(),
		"nats-server's output": s.NATS.Output(), "problem documents and commands' output": problems.String(), "subjects, headers and metrics": headers.String(),
	}
	for _, p := range []*testcluster.Process{ingress, worker, serve} {
		if !strings.Contains(p.Output(), `"SpanContext"`) {
			t.Error("there are no spans: the test checks nothing")
		}
	}
	searchMarks(t, marks, written)
}

// searchMarks fails the test if one of the texts has a mark, or is empty.
func searchMarks(t *testing.T, marks []string, written map[string]string) {
	t.Helper()
	for where, text := range written {
		if len(text) == 0 {
			t.Errorf("nothing in %s: the test checks nothing", where)
		}
		t.Logf("%s: %d bytes", where, len(text))
		for _, mark := range marks {
			if i := strings.Index(strings.ToLower(text), mark); i >= 0 {
				t.Errorf("%s has %q: …%s…", where, mark, text[max(0, i-200):min(len(text), i+60)])
			}
		}
	}
}

// readAndImport runs commands that print personal data, and record none.
func readAndImport(t *testing.T, auditLog, dir, api string) {
	t.Helper()
	for _, line := range [][]string{
		{"clients", "find", "--name", "Zqmark", "--body", "--data-dir", dir},
		{"events", "tail", "--since", "1h", "--json", "--no-follow", "--id", "zqmark", "--data-dir", dir},
		{"import", "zqmark.csv", "--url", api},
	} {
		testcluster.RunLine(t, append(line, "--audit-log", auditLog)...)
	}
}

// auditTrail returns the audit trails of servers, which have the actions of TestPersonalData.
func auditTrail(t *testing.T, urls ...string) string {
	t.Helper()
	var records strings.Builder
	for _, action := range []domain.AuditAction{domain.AuditClientRead, domain.AuditRefused, domain.AuditRejectionRetry, domain.AuditClientFind, domain.AuditErase} {
		publishertest.Eventually(t, "a record of "+string(action), func() bool { // refusals are added up for a second
			records.Reset()
			for _, url := range urls {
				for _, msg := range testcluster.Messages(t, url, domain.StreamAudit) {
					fmt.Fprintln(&records, msg.Subject, msg.Header, string(msg.Data))
				}
			}
			return strings.Contains(records.String(), domain.SubjectAudit+string(action))
		})
	}
	return records.String()
}

// TestErase checks that nothing of an erased client is left on the disk of serve, and that another client is untouched.
func TestErase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	api, natsURL := serve.API(), serve.NATSURL()
	js := testcluster.JetStream(t, natsURL)
	told, err := js.Conn().SubscribeSync(domain.SubjectErased)
	if err != nil {
		t.Fatal(err)
	}
	gone := testcluster.Accepted(t, api, fmt.Sprintf(testcluster.MarkedClient, "Zqmark"), "")
	stays := testcluster.Accepted(t, api, fmt.Sprintf(testcluster.MarkedClient, "Neighbour"), "")
	testcluster.Succeeded(t, api, gone)
	record := testcluster.Succeeded(t, api, stays)
	id := gone[strings.LastIndex(gone, "/")+1:]
	find := func() (status int, stdout string) {
		status, stdout, _ = testcluster.RunLine(t, "clients", "find", "--name", "Zqmark Zqmark", "--email", "zqmark@example.com", "--data-dir", dir, "--body")
		return status, stdout
	}
	if status, stdout := find(); status != cli.ExitOK || !strings.Contains(stdout, id) {
		t.Errorf("before: %d %s", status, stdout)
	}
	var stdout string
	publishertest.Eventually(t, "the client is erased", func() bool {
		var status int
		var stderr string
		status, stdout, stderr = testcluster.RunLine(t, "erase", "--yes", id, "--data-dir", dir, "--nats-url", natsURL)
		if status != cli.ExitOK && !strings.Contains(stderr, "is pending: nothing was erased") {
			t.Fatalf("%d: %s%s", status, stdout, stderr)
		}
		return status == cli.ExitOK
	})
	if want := "rows 1, commands 1, rejections 0, events 1"; !strings.Contains(stdout, want) {
		t.Errorf("%s, want %s", stdout, want)
	}
	if msg, err := told.NextMsg(testcluster.Patience); err != nil || string(msg.Data) != `{"id":"`+id+`"}` || msg.Header.Get("ce-type") != "client.erased" {
		t.Errorf("%v: %v", msg, err)
	}
	if r := testcluster.Get(t, api+"/api/v2/clients/"+id); r.Status != http.StatusNotFound {
		t.Errorf("%d: %s", r.Status, r.Body)
	}
	if again := testcluster.Succeeded(t, api, stays); again != record {
		t.Errorf("the neighbour was %s, and is %s", record, again)
	}
	if status, _, stderr := testcluster.RunLine(t, "erase", "--yes", id, "--data-dir", dir, "--nats-url", natsURL); status != cli.ExitError || !strings.Contains(stderr, "no data about") {
		t.Errorf("again: %d %s", status, stderr)
	}
	if status, stdout := find(); status != cli.ExitOK || strings.Contains(stdout, id) || !strings.Contains(stdout, stays[strings.LastIndex(stays, "/")+1:]) {
		t.Errorf("after: %d %s, want only the neighbour", status, stdout)
	}
	// The disk has the marks of the neighbour, and no last name Zqmark.
	found := func(what string) (n int) {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				var content []byte
				content, err = os.ReadFile(path)
				n += bytes.Count(content, []byte(what))
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // the server replaces files
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := found(`"lastName":"Neighbour"`); n == 0 {
		t.Error("the neighbour is not on the disk: the test checks nothing")
	}
	if n := found(`"lastName":"Zqmark"`); n > 0 {
		t.Errorf("the erased client is on the disk %d times", n)
	}
	if neighbours, all := found("zqmark@example.com"), found("Neighbour"); neighbours > all {
		t.Errorf("%d e-mail addresses for %d neighbours", neighbours, all)
	}
	serve.Stop()
}
