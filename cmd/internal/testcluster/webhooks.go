package testcluster

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Webhooks runs a command of clientele webhooks, which must succeed, and returns its standard output.
func Webhooks(t *testing.T, natsURL string, args ...string) string {
	t.Helper()
	status, stdout, stderr := RunLine(t, append(append([]string{"webhooks"}, args...), "--nats-url", natsURL)...)
	if status != 0 {
		t.Fatalf("webhooks %v: %d: %s%s", args, status, stdout, stderr)
	}
	return stdout
}

// Receiver is the receiver of a webhook.
type Receiver struct {
	URL string

	mu       sync.Mutex
	answer   func(*http.Request, string) int
	requests int
	accepted map[string]int // by ce-subject
	last     *http.Request  // without its body
	body     string         // of the last request
}

// NewReceiver returns a receiver that answers 200.
func NewReceiver(t *testing.T) *Receiver {
	t.Helper()
	r := &Receiver{accepted: map[string]int{}, answer: func(*http.Request, string) int { return http.StatusOK }}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// ServeHTTP notes the request and answers it.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests, r.last, r.body = r.requests+1, request, string(body)
	status := r.answer(request, string(body))
	if status < http.StatusMultipleChoices {
		r.accepted[request.Header.Get("Ce-Subject")]++
	}
	w.WriteHeader(status)
}

// Answers sets the status of its responses.
func (r *Receiver) Answers(status int) {
	r.AnswersWith(func(*http.Request, string) int { return status })
}

// AnswersWith sets what decides on the status of its responses, from the request and its body.
func (r *Receiver) AnswersWith(answer func(*http.Request, string) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// Requests returns how many requests it has received.
func (r *Receiver) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// Accepted returns how often it has accepted an event of the client of an operation.
func (r *Receiver) Accepted(operation string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted[operation[strings.LastIndex(operation, "/")+1:]]
}

// Has reports whether it has accepted an event of each of the clients.
func (r *Receiver) Has(operations ...string) bool {
	for _, operation := range operations {
		if r.Accepted(operation) == 0 {
			return false
		}
	}
	return true
}

// Last returns the last request and its body.
func (r *Receiver) Last() (request *http.Request, body string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.body
}
