package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
)

const jane = `{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jsmith@example.com"}`

// natsIsAt matches where serve says that subscribers find NATS.
const natsIsAt = `Subscribers find client.created on (\S+)\.\n`

// full is the body of the reference page, with real values.
const full = `{
  "firstName": "Jane",
  "lastName": "Smith",
  "emailAddress": "jsmith@example.com",
  "title": "Dr",
  "companyName": "Smith Ltd",
  "telephoneNumber": "+442079460958",
  "address": {
    "line_1": "1 High Street",
    "postcode": "sw1a1aa",
    "line_2": "Flat 2",
    "line_3": "The Mews",
    "post_town": "London",
    "county": "Greater London",
    "uprn": "100023336956"
  }
}`

// record is what becomes of full, but for its id.
const record = `"firstName":"Jane","lastName":"Smith","emailAddress":"jsmith@example.com","title":"Dr","middleName":null,` +
	`"companyName":"Smith Ltd","telephoneNumber":"+442079460958","altTelephoneNumber":null,"pronouns":null,"avatarUrl":null,` +
	`"dob":null,"nationality":null,"niNumber":null,"occupation":null,"address":{"line_1":"1 High Street","line_2":"Flat 2",` +
	`"line_3":"The Mews","post_town":"London","county":"Greater London","postcode":"SW1A 1AA","uprn":"100023336956"},` +
	`"status":"NotInvited"}`

// mainJob takes one client in and sees it come out with a subscriber.
func mainJob(t *testing.T, api, natsURL string) {
	t.Helper()
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	subscription, err := nc.SubscribeSync("client.created")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	operation := accepted(t, api, full, "")
	client := succeeded(t, api, operation)
	id := operation[strings.LastIndex(operation, "/")+1:]
	if client != `{"id":"`+id+`",`+record {
		t.Errorf("record: %s", client)
	}
	event, err := subscription.NextMsgWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if string(event.Data) != client || event.Header.Get("ce-subject") != id || event.Header.Get("ce-type") != "client.created" {
		t.Errorf("event: %v %s", event.Header, event.Data)
	}
}

// fiftyAtOnce posts under one key fifty times at once.
func fiftyAtOnce(t *testing.T, apis []string, natsURL string) {
	t.Helper()
	replies := make([]reply, 50)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = post(t, apis[i%len(apis)], jane, "fifty") })
	}
	wg.Wait()
	// Requests at two ingresses may be accepted at different times; whatever they are told is the same operation.
	id := replies[0].object(t)["id"].(string)
	for _, r := range replies {
		if r.status != http.StatusAccepted || r.object(t)["id"] != id {
			t.Errorf("%d: %s", r.status, r.body)
		}
	}
	succeeded(t, apis[0], "/api/v2/operations/"+id)
	other := strings.Replace(jane, "Jane", "Janet", 1)
	for _, api := range apis {
		if r := post(t, api, other, "fifty"); r.status != http.StatusUnprocessableEntity {
			t.Errorf("another body under the key: %d: %s", r.status, r.body)
		}
	}
	if n := len(events(t, natsURL)[id]); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	if n := len(messages(t, natsURL, domain.StreamRejections)); n != 0 {
		t.Errorf("%d rejections", n)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	serve := clientele(t, "serve", "--data-dir", dir)
	serve.ready()
	natsURL := serve.says(natsIsAt)
	mainJob(t, serve.api(), natsURL)
	fiftyAtOnce(t, []string{serve.api()}, natsURL)
	operation := accepted(t, serve.api(), jane, "kept")
	before := succeeded(t, serve.api(), operation)
	if live := get(t, serve.admin()+"/livez"); live.status != http.StatusOK {
		t.Errorf("livez: %d %s", live.status, live.body)
	}
	serve.stop()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v (%v)", info, err)
	}

	serve = clientele(t, "serve", "--data-dir", dir)
	if after := succeeded(t, serve.api(), operation); after != before {
		t.Errorf("record after a restart: %s, before: %s", after, before)
	}
	serve.stop()
}

// The curl that serve prints works as it is printed, but for curl.
func TestServePrintsARequestThatWorks(t *testing.T) {
	t.Parallel()
	serve := clientele(t, "serve", "--data-dir", t.TempDir())
	url := serve.says(`curl -i (\S+) `)
	body := serve.says(`--data '([^']*)'`)
	if r := do(t, http.MethodPost, url, body, ""); r.status != http.StatusAccepted {
		t.Errorf("%d: %s", r.status, r.body)
	}
}

func TestServeTakesABacklogUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// Started once so that the log is there, and stopped; the commands come while nothing works on them.
	clienteleServe := func() *proc { return clientele(t, "serve", "--data-dir", dir) }
	serve := clienteleServe()
	serve.ready()
	serve.stop()
	const n = 3000
	backlog(t, dir, n)

	serve = clienteleServe()
	natsURL := serve.says(natsIsAt)
	js := jetStream(t, natsURL)
	publishertest.Eventually(t, "the backlog is worked off", func() bool {
		c, err := js.Consumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker)
		if err != nil {
			t.Fatal(err)
		}
		info := c.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	})
	if all := events(t, natsURL); len(all) != n {
		t.Errorf("events of %d clients, want %d", len(all), n)
	}
	if rejected := messages(t, natsURL, domain.StreamRejections); len(rejected) != 0 {
		t.Errorf("%d rejections", len(rejected))
	}
}
