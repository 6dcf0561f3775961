package testcluster

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
)

// MarkedClient has a distinctive value in each member.
const MarkedClient = `{"firstName": "Zqmark", "lastName": "%s", "emailAddress": "zqmark@example.com", "title": "Zqmark",
	"middleName": "Zqmark", "companyName": "Zqmark", "telephoneNumber": "+447911123987", "altTelephoneNumber": "+447911123986",
	"pronouns": "zqmark", "avatarUrl": "https://example.com/zqmark", "dob": "1961-03-07", "nationality": "Zqmark",
	"niNumber": "JX987651A", "occupation": "Zqmark", "communicationPreferences": {"email": true},
	"address": {"line_1": "Zqmark", "line_2": "Zqmark", "line_3": "Zqmark", "post_town": "Zqmark", "county": "Zqmark",
	"postcode": "ZQ1 2AB", "uprn": "987654321012"}}`

// Marks are the values that may appear nowhere else, in lower case.
var Marks = []string{"zqmark", "7911123987", "7911123986", "1961-03-07", "jx987651", "zq1 2ab", "987654321012", "clk_"}

// NewKey adds a key to the file with clientele keys new, and returns the token that a caller sends.
func NewKey(t *testing.T, file, name, scopes string) string {
	t.Helper()
	status, stdout, stderr := RunLine(t, "keys", "new", "--name", name, "--scope", scopes, "--keys-file", file)
	if status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	return regexp.MustCompile(`clk_\S+`).FindString(stdout)
}

// Jane is a client with the required members only.
const Jane = `{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jsmith@example.com"}`

// Full is the body of the reference page, with real values.
const Full = `{
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

// record is the record of Full, without its id.
const record = `"firstName":"Jane","lastName":"Smith","emailAddress":"jsmith@example.com","title":"Dr","middleName":null,` +
	`"companyName":"Smith Ltd","telephoneNumber":"+442079460958","altTelephoneNumber":null,"pronouns":null,"avatarUrl":null,` +
	`"dob":null,"nationality":null,"niNumber":null,"occupation":null,"address":{"line_1":"1 High Street","line_2":"Flat 2",` +
	`"line_3":"The Mews","post_town":"London","county":"Greater London","postcode":"SW1A 1AA","uprn":"100023336956"},` +
	`"status":"NotInvited"}`

// MainJob posts one client and checks that a subscriber receives it.
func MainJob(t *testing.T, api, natsURL string) {
	t.Helper()
	nc, err := nats.Connect(natsURL, nats.Timeout(Patience))
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
	operation := Accepted(t, api, Full, "")
	client := Succeeded(t, api, operation)
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

// FiftyAtOnce sends fifty concurrent requests under one key.
func FiftyAtOnce(t *testing.T, apis []string, natsURL string) {
	t.Helper()
	replies := make([]Reply, 50)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = Post(t, apis[i%len(apis)], Jane, "fifty") })
	}
	wg.Wait()
	// Two ingresses may accept requests at different times; all answers name the same operation.
	id := replies[0].Object(t)["id"].(string)
	for _, r := range replies {
		if r.Status != http.StatusAccepted || r.Object(t)["id"] != id {
			t.Errorf("%d: %s", r.Status, r.Body)
		}
	}
	Succeeded(t, apis[0], "/api/v2/operations/"+id)
	other := strings.Replace(Jane, "Jane", "Janet", 1)
	for _, api := range apis {
		if r := Post(t, api, other, "fifty"); r.Status != http.StatusUnprocessableEntity {
			t.Errorf("another body under the key: %d: %s", r.Status, r.Body)
		}
	}
	publishertest.Eventually(t, "the event is published", func() bool { return len(Events(t, natsURL)[id]) > 0 })
	if n := len(Events(t, natsURL)[id]); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	if n := len(Messages(t, natsURL, domain.StreamRejections)); n != 0 {
		t.Errorf("%d rejections", n)
	}
}

// Created posts a client, waits for its record, and returns its URL.
func Created(t *testing.T, api string) string {
	t.Helper()
	r := PostAndWait(t, api, Jane, "")
	if r.Status != http.StatusCreated || r.Object(t)["status"] != "NotInvited" {
		t.Fatalf("%d %v: %s", r.Status, r.Header, r.Body)
	}
	return r.Header.Get("Location")
}
