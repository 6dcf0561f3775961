package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/nats-io/nats.go"
)

// markedClient has a value in each member that nothing else has.
const markedClient = `{"firstName": "Zqmark", "lastName": "%s", "emailAddress": "zqmark@example.com", "title": "Zqmark",
	"middleName": "Zqmark", "companyName": "Zqmark", "telephoneNumber": "+447911123987", "altTelephoneNumber": "+447911123986",
	"pronouns": "zqmark", "avatarUrl": "https://example.com/zqmark", "dob": "1961-03-07", "nationality": "Zqmark",
	"niNumber": "JX987651A", "occupation": "Zqmark", "communicationPreferences": {"email": true},
	"address": {"line_1": "Zqmark", "line_2": "Zqmark", "line_3": "Zqmark", "post_town": "Zqmark", "county": "Zqmark",
	"postcode": "ZQ1 2AB", "uprn": "987654321012"}}`

// marks are what nobody may write, in lower case.
var marks = []string{"zqmark", "7911123987", "7911123986", "1961-03-07", "987651", "zq1 2ab", "987654321012", "clk_"}

// TestPersonalData drives every path at the level of debugging, and looks for marked values in all that the processes wrote,
// in subjects and headers, and in problem documents.
func TestPersonalData(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys")
	token := newKey(t, keys, "pipeline", "clients:write,clients:read")
	database := storetest.StartPostgres(t)
	s := newSiteOn(t, database.URL())
	traces := []string{"OTEL_TRACES_EXPORTER=console"}
	debug := func(role string, flags ...string) *proc {
		p := clienteleWith(t, traces, role, append(append([]string{"--log-level=debug"}, flags...), s.flags...)...)
		p.ready()
		return p
	}
	ingress, worker := debug("ingress", "--keys-file", keys, "--rate-limit=1000"), debug("worker")
	dir := t.TempDir()
	serve := clienteleWith(t, traces, "serve", "--data-dir", dir, "--log-level=debug", "--keys-file", keys)
	serve.ready()

	var problems strings.Builder
	send := func(api, method, path, body string, headers ...string) {
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
		answer, err := roundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.status >= 300 {
			fmt.Fprintln(&problems, answer.header, answer.body)
		}
	}
	good := fmt.Sprintf(markedClient, "Zqmark")
	drive := func(api string) {
		t.Helper()
		post := func(body string, headers ...string) {
			t.Helper()
			send(api, http.MethodPost, "/api/v2/clients", body, headers...)
		}
		post(good)
		post(good, "Idempotency-Key", "zqmark")
		post(good, "Idempotency-Key", "zqmark")
		post(fmt.Sprintf(markedClient, "Zqmarked"), "Idempotency-Key", "zqmark")
		for _, change := range [][2]string{
			{`"zqmark@example.com"`, `"zqmark"`},
			{`"+447911123987"`, `"zqmark"`},
			{`"1961-03-07"`, `"zqmark"`},
			{`"JX987651A"`, `"zqmark"`},
			{`"https://example.com/zqmark"`, `"zqmark:x"`},
			{`"987654321012"`, `"zqmark"`},
			{`"firstName": "Zqmark"`, `"firstName": 987651`},
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
		for _, path := range []string{"/zqmark", "/api/v2/clients/zqmark", "/api/v2/operations/zqmark?zqmark=zqmark"} {
			send(api, http.MethodGet, path, "")
		}
		send(api, "ZQMARK", "/api/v2/clients", good)
	}
	drive(ingress.api())
	drive(serve.api())
	publishertest.Eventually(t, "everything is worked off", s.drained)

	// Commands that no ingress wrote, and one that the database refuses.
	js := s.js
	for i, msg := range []*nats.Msg{
		{Data: []byte("zqmark")},
		{Data: []byte(good)},
		{Data: []byte(good), Header: nats.Header{domain.HeaderFingerprint: {"zqmark"}, domain.HeaderAcceptedAt: {"zqmark"}}},
	} {
		msg.Subject = domain.SubjectCreate + domain.KeyedID("by hand", strconv.Itoa(i)).String()
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	conn := s.session()
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), poisonOn); err != nil {
		t.Fatal(err)
	}
	send(ingress.api(), http.MethodPost, "/api/v2/clients", fmt.Sprintf(markedClient, "Poison"))
	publishertest.Eventually(t, "everything is worked off", s.drained)
	// Everything is away, then back.
	database.Stop(t, true)
	send(ingress.api(), http.MethodPost, "/api/v2/clients", good, "Idempotency-Key", "zqmark away")
	worker.says("store clients: waiting to try again")
	send(ingress.api(), http.MethodGet, "/api/v2/clients/"+domain.KeyedID("pipeline", "zqmark").String(), "")
	s.nats.kill()
	send(ingress.api(), http.MethodPost, "/api/v2/clients", good)
	database.Start(t)
	s.nats.restart(t)
	publishertest.Eventually(t, "the ingress accepts again", func() bool { return get(t, ingress.admin()+"/readyz").status == http.StatusOK })
	send(ingress.api(), http.MethodPost, "/api/v2/clients", good)

	// What operators see without --body, which is for looking.
	erased := domain.KeyedID("pipeline", "zqmark").String()
	for _, line := range [][]string{
		{"rejections", "ls", "--nats-url", s.nats.url},
		{"rejections", "retry", "--all", "--yes", "--nats-url", s.nats.url},
		{"keys", "ls", "--keys-file", keys},
		{"clients", "find", "--name", "Zqmark", "--data-dir", dir},
		{"clients", "find", "--email", "zqmark@example.com", "--data-dir", dir, "--json"},
		{"clients", "find", "--email", "zqmark", "--data-dir", dir},
		{"clients", "show", erased, "--data-dir", dir},
		{"clients", "show", erased, "--data-dir", dir, "--json"},
		{"erase", "--yes", erased, "--data-dir", dir, "--nats-url", serve.says(natsIsAt)},
	} {
		_, stdout, stderr := runLine(t, line...)
		fmt.Fprintln(&problems, stdout, stderr)
	}
	var headers strings.Builder
	for _, url := range []string{s.nats.url, serve.says(natsIsAt)} {
		for _, stream := range []string{domain.StreamCommands, domain.StreamEvents, domain.StreamRejections} {
			for _, msg := range messages(t, url, stream) {
				if stream != domain.StreamCommands || msg.Header.Get(domain.HeaderCaller) != "" { // by hand
					fmt.Fprintln(&headers, msg.Subject, msg.Header)
				}
			}
		}
	}
	for _, p := range []*proc{ingress, worker, serve} {
		fmt.Fprintln(&headers, get(t, p.admin()+"/metrics").body)
		p.stop()
	}
	written := map[string]string{
		"the ingress's output, spans too": ingress.output(), "the worker's output": worker.output(), "serve's output": serve.output(),
		"nats-server's output": s.nats.output(), "problem documents and commands' output": problems.String(), "subjects, headers and metrics": headers.String(),
	}
	for _, p := range []*proc{ingress, worker, serve} {
		if !strings.Contains(p.output(), `"SpanContext"`) {
			t.Error("there are no spans: what was looked at?")
		}
	}
	for where, text := range written {
		if len(text) == 0 {
			t.Errorf("nothing in %s: what was looked at?", where)
		}
		t.Logf("%s: %d bytes", where, len(text))
		for _, mark := range marks {
			if i := strings.Index(strings.ToLower(text), mark); i >= 0 {
				t.Errorf("%s has %q: …%s…", where, mark, text[max(0, i-200):min(len(text), i+60)])
			}
		}
	}
}

// TestErase: nothing of an erased client is left anywhere on the disk of a serve, and its neighbour is untouched.
func TestErase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := clientele(t, "serve", "--data-dir", dir)
	api, natsURL := serve.api(), serve.says(natsIsAt)
	js := jetStream(t, natsURL)
	told, err := js.Conn().SubscribeSync(domain.SubjectErased)
	if err != nil {
		t.Fatal(err)
	}
	gone := accepted(t, api, fmt.Sprintf(markedClient, "Zqmark"), "")
	stays := accepted(t, api, fmt.Sprintf(markedClient, "Neighbour"), "")
	succeeded(t, api, gone)
	record := succeeded(t, api, stays)
	id := gone[strings.LastIndex(gone, "/")+1:]
	find := func() (status int, stdout string) {
		status, stdout, _ = runLine(t, "clients", "find", "--name", "Zqmark Zqmark", "--email", "zqmark@example.com", "--data-dir", dir, "--body")
		return status, stdout
	}
	if status, stdout := find(); status != exitOK || !strings.Contains(stdout, id) {
		t.Errorf("before: %d %s", status, stdout)
	}
	var stdout string
	publishertest.Eventually(t, "the client is erased", func() bool {
		var status int
		var stderr string
		status, stdout, stderr = runLine(t, "erase", "--yes", id, "--data-dir", dir, "--nats-url", natsURL)
		if status != exitOK && !strings.Contains(stderr, "still being taken in") {
			t.Fatalf("%d: %s%s", status, stdout, stderr)
		}
		return status == exitOK
	})
	if want := "rows 1, commands 1, rejections 0, events 1"; !strings.Contains(stdout, want) {
		t.Errorf("%s, want %s", stdout, want)
	}
	if msg, err := told.NextMsg(patience); err != nil || string(msg.Data) != `{"id":"`+id+`"}` || msg.Header.Get("ce-type") != "client.erased" {
		t.Errorf("%v: %v", msg, err)
	}
	if r := get(t, api+"/api/v2/clients/"+id); r.status != http.StatusNotFound {
		t.Errorf("%d: %s", r.status, r.body)
	}
	if again := succeeded(t, api, stays); again != record {
		t.Errorf("the neighbour was %s, and is %s", record, again)
	}
	if status, _, stderr := runLine(t, "erase", "--yes", id, "--data-dir", dir, "--nats-url", natsURL); status != exitError || !strings.Contains(stderr, "nothing here is about") {
		t.Errorf("again: %d %s", status, stderr)
	}
	if status, stdout := find(); status != exitOK || strings.Contains(stdout, id) || !strings.Contains(stdout, stays[strings.LastIndex(stays, "/")+1:]) {
		t.Errorf("after: %d %s, want only the neighbour", status, stdout)
	}
	// On the disk is one Neighbour, with its marks; and no last name Zqmark.
	found := func(what string) (n int) {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			content, err := os.ReadFile(path)
			n += bytes.Count(content, []byte(what))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := found(`"lastName":"Neighbour"`); n == 0 {
		t.Error("the neighbour is not on the disk: what was looked at?")
	}
	if n := found(`"lastName":"Zqmark"`); n > 0 {
		t.Errorf("the erased client is on the disk %d times", n)
	}
	if neighbours, all := found("zqmark@example.com"), found("Neighbour"); neighbours > all {
		t.Errorf("%d e-mail addresses for %d neighbours", neighbours, all)
	}
	serve.stop()
}
