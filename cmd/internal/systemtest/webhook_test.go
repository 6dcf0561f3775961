package systemtest

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// TestWebhookReceiver delivers events to the example, which refuses those that are signed with another secret, and processes each of
// the others once.
func TestWebhookReceiver(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{"base64": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "text": "0123456789abcdef"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			right, wrong := secretFile(t, secret+"\n"), secretFile(t, "another secret, as long\n")
			received := filepath.Join(t.TempDir(), "received.txt")
			address := testcluster.FreeAddress(t)
			receiver := testcluster.Start(t, testcluster.Program(t, "webhook"), "-listen", address, "-secret-file", right, "-received", received)
			receiver.Says("receiving events at http://" + address)
			serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
			api, natsURL := serve.API(), serve.NATSURL()

			testcluster.Webhooks(t, natsURL, "add", "crm", "http://"+address+"/clients", "--secret-file", wrong)
			operation := testcluster.Accepted(t, api, testcluster.Jane, "")
			testcluster.Succeeded(t, api, operation)
			serve.Says("401 Unauthorized")
			receiver.Says("refused a request: .*no matching signature")
			if lines := linesOf(t, received); len(lines) != 0 {
				t.Fatalf("processed with the wrong secret: %v", lines)
			}

			testcluster.Webhooks(t, natsURL, "rotate", "crm", "--secret-file", right, "--overlap=0s")
			receiver.Says(`"client\.created" "` + operation[strings.LastIndex(operation, "/")+1:] + `"`)
			testcluster.Webhooks(t, natsURL, "redeliver", "crm", "1", "--yes")
			publishertest.Eventually(t, "the redelivery is recorded", func() bool {
				out := testcluster.Webhooks(t, natsURL, "deliveries", "crm")
				return strings.Count(out, "delivered") == 2 && strings.Contains(out, "failed")
			})
			if lines := linesOf(t, received); len(lines) != 1 {
				t.Errorf("processed: %v, want one event", lines)
			}
			if strings.Contains(receiver.Output(), "Jane") || strings.Contains(receiver.Output(), "jsmith") {
				t.Errorf("personal data in %s", receiver.Output())
			}
			serve.Stop()
		})
	}
}

func TestWebhookReceiverChecksSignatures(t *testing.T) {
	t.Parallel()
	const secret, body = "0123456789abcdef", `{"id":"x"}`
	received := filepath.Join(t.TempDir(), "received.txt")
	address := testcluster.FreeAddress(t)
	receiver := testcluster.Start(t, testcluster.Program(t, "webhook"), "-listen", address, "-secret-file", secretFile(t, secret), "-received", received)
	publishertest.Eventually(t, "the receiver listens", func() bool {
		_, err := testcluster.TryGet("http://" + address)
		return err == nil
	})
	for _, c := range []struct {
		name, secret, body string
		age                time.Duration
		status             int
		says               string
	}{
		{"signed", secret, body, 0, http.StatusOK, ""},
		{"signed and repeated", secret, body, 0, http.StatusOK, ""},
		{"unsigned", "", body, 0, http.StatusUnauthorized, "missing required headers"},
		{"with another secret", "another secret, as long", body, 0, http.StatusUnauthorized, "no matching signature"},
		{"with another body", secret, body + " ", 0, http.StatusUnauthorized, "no matching signature"},
		{"recorded", secret, body, 10 * time.Minute, http.StatusUnauthorized, "too old"},
		{"too large", secret, strings.Repeat(" ", 1<<20+1), 0, http.StatusBadRequest, "cannot read the body"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Ce-Type", "client.created")
		request.Header.Set("Ce-Subject", "x")
		if c.secret != "" {
			sign(t, request, c.secret, body, time.Now().Add(-c.age))
		}
		if r, err := testcluster.RoundTrip(request); err != nil || r.Status != c.status || !strings.Contains(r.Body, c.says) {
			t.Errorf("%s: %v: %d, want %d and %s: %s", c.name, err, r.Status, c.status, c.says, r.Body)
		}
	}
	if lines := linesOf(t, received); len(lines) != 1 || lines[0] != "event-1 client.created x\n" {
		t.Errorf("processed: %v, want event-1 once", lines)
	}
	receiver.Kill()

	short := testcluster.Start(t, testcluster.Program(t, "webhook"), "-secret-file", secretFile(t, "\n"), "-received", received)
	if status := short.Wait(); status == 0 || !strings.Contains(short.Output(), "no secret of at least 16 bytes") {
		t.Errorf("%d with an empty secret: %s", status, short.Output())
	}
}

func sign(t *testing.T, request *http.Request, secret, body string, sent time.Time) {
	t.Helper()
	webhook, err := webhooks.NewWebhookRaw([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := webhook.Sign("event-1", sent, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(webhooks.HeaderWebhookID, "event-1")
	request.Header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(sent.Unix(), 10))
	request.Header.Set(webhooks.HeaderWebhookSignature, signature)
}

func secretFile(t *testing.T, secret string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func linesOf(t *testing.T, file string) (lines []string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		lines = append(lines, line)
	}
	return lines
}
