// Webhook receives what Clientele posts to a webhook: each event once, from a sender that has the secret.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "`address` to listen on")
	secretFile := flag.String("secret-file", "secret", "`file` with the secret that signs events")
	received := flag.String("received", "received.txt", "`file` of processed events")
	flag.Parse()
	r, err := newReceiver(*secretFile, *received)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *listen, Handler: r, ReadTimeout: 10 * time.Second}
	log.Printf("receiving events at http://%s", *listen)
	log.Fatal(server.ListenAndServe()) // it may be killed at any time: an event without an answer is sent again
}

// receiver writes its work and the event's id in one write, so that a crash cannot separate them. With a database, use a
// transaction.
type receiver struct {
	verifier *webhooks.Webhook
	file     *os.File
	mu       sync.Mutex // guards seen: several events can arrive at once
	seen     map[string]bool
}

func newReceiver(secretFile, received string) (*receiver, error) {
	content, err := os.ReadFile(secretFile)
	if err != nil {
		return nil, err
	}
	secret := strings.TrimSpace(string(content))
	verifier, err := webhooks.NewWebhookRaw([]byte(secret))
	if strings.HasPrefix(secret, "whsec_") { // base64 follows; any other text is itself the secret
		verifier, err = webhooks.NewWebhook(secret)
	}
	if err != nil || len(secret) < 16 { // anyone can sign with an empty secret
		return nil, fmt.Errorf("%s has no secret of at least 16 bytes", secretFile)
	}
	file, err := os.OpenFile(received, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_SYNC, 0o600)
	if err != nil {
		return nil, err
	}
	r := &receiver{verifier: verifier, file: file, seen: map[string]bool{}}
	lines, err := os.ReadFile(received)
	for line := range strings.Lines(string(lines)) {
		r.seen[strings.Fields(line)[0]] = true
	}
	return r, err
}

// ServeHTTP responds with 2xx after the event is processed. After any other response, it is sent again.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, 1<<20))
	if err != nil {
		http.Error(w, "cannot read the body", http.StatusBadRequest)
		return
	}
	// Verify before you trust anything. The time is signed too: a request older than five minutes is refused.
	if err := r.verifier.Verify(body, request.Header); err != nil {
		log.Printf("refused a request: %v", err)
		http.Error(w, "bad signature: "+err.Error(), http.StatusUnauthorized)
		return
	}
	// webhook-id is the ce-id. The signature covers it and the body, but not the type.
	if err := r.process(request.Header.Get("Webhook-Id"), request.Header.Get("Ce-Type"), request.Header.Get("Ce-Subject")); err != nil {
		log.Print(err)
		http.Error(w, "cannot process the event now", http.StatusInternalServerError)
	}
}

// process does its work once for each event. For client.created, the body is the client's record.
func (r *receiver) process(event, eventType, client string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[event] {
		return nil
	}
	if _, err := fmt.Fprintf(r.file, "%s %s %s\n", event, eventType, client); err != nil {
		return err
	}
	r.seen[event] = true
	log.Printf("%s %s", strconv.Quote(eventType), strconv.Quote(client)) // the id only: logs are no place for personal data
	return nil
}
