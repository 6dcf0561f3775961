package systemtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/ingress/site"
	"clientele/publisher/publishertest"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// asyncExample is an example of a message.
type asyncExample struct{ Headers, Payload map[string]any }

// asyncExamples returns the examples in asyncapi.yaml, by the name of the schema of their payload.
func asyncExamples(t *testing.T) map[string][]asyncExample {
	t.Helper()
	var doc struct {
		Components struct {
			Messages map[string]struct {
				Payload  map[string]string
				Examples []asyncExample
			}
		}
	}
	if err := yaml.Unmarshal(site.AsyncAPI, &doc); err != nil {
		t.Fatal(err)
	}
	examples := map[string][]asyncExample{}
	for _, message := range doc.Components.Messages {
		examples[strings.TrimPrefix(message.Payload["$ref"], "#/components/schemas/")] = message.Examples
	}
	return examples
}

// closeSchema forbids members that are not described. The contract allows them, because later versions may add some. The tests do not,
// so that none is added without a description.
func closeSchema(schema any) {
	object, ok := schema.(map[string]any)
	if !ok {
		return
	}
	if _, has := object["properties"]; has {
		object["additionalProperties"] = false
	}
	for _, inner := range object {
		closeSchema(inner)
	}
}

// asyncSchemas returns the schemas in asyncapi.yaml, by name.
func asyncSchemas(t *testing.T) func(name string) *jsonschema.Schema {
	t.Helper()
	var doc map[string]any
	if err := yaml.Unmarshal(site.AsyncAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for name, schema := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if !strings.HasSuffix(name, "Headers") { // NATS adds headers
			closeSchema(schema)
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("asyncapi.json", parsed); err != nil {
		t.Fatal(err)
	}
	return func(name string) *jsonschema.Schema {
		schema, err := compiler.Compile("asyncapi.json#/components/schemas/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return schema
	}
}

var headersOf = map[string]string{"ClientRecord": "CreatedHeaders", "Erased": "ErasedHeaders", "Rejection": "RejectedHeaders"}

// is reports whether a message is like the example: it has the same headers, and the same payload except for ids, times and sequences.
func (e asyncExample) is(header map[string]any, payload any) bool {
	clone := maps.Clone(payload.(map[string]any))
	for _, name := range []string{"id", "rejectedAt"} {
		if _, has := clone[name]; has {
			clone[name] = e.Payload[name]
		}
	}
	if command, ok := clone["command"].(map[string]any); ok {
		command["sequence"] = e.Payload["command"].(map[string]any)["sequence"]
	}
	for name := range e.Headers {
		if _, has := header[name]; !has {
			return false
		}
	}
	got, errGot := json.Marshal(clone)
	want, errWant := json.Marshal(e.Payload)
	return errGot == nil && errWant == nil && string(got) == string(want)
}

// withoutBodies checks the headers that a subscriber receives in place of the records.
func withoutBodies(t *testing.T, js jetstream.JetStream, schema func(string) *jsonschema.Schema) {
	t.Helper()
	consumer, err := subscription.Create(t.Context(), js, subscription.Config{Name: "ids", Since: time.Unix(0, 0), IDOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for range consumer.CachedInfo().NumPending {
		msg, err := consumer.Next()
		if err != nil {
			t.Fatal(err)
		}
		header := map[string]any{}
		for name, values := range msg.Headers() {
			header[name] = values[0]
		}
		headers := map[string]string{domain.SubjectCreated: "CreatedHeaders", domain.SubjectErased: "ErasedHeaders"}[msg.Subject()]
		if err := schema(headers).Validate(header); err != nil || len(msg.Data()) > 0 || header["Nats-Msg-Size"] == nil {
			t.Errorf("%s of %v and %d bytes: %v", headers, header, len(msg.Data()), err)
		}
	}
}

// TestMessagesAreAsDescribed checks every kind of message that a service publishes against asyncapi.yaml.
func TestMessagesAreAsDescribed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	api, natsURL := serve.API(), serve.NATSURL()
	const full = `{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jsmith@example.com", "title": "Dr", "middleName": "Anne",
		"companyName": "Smith", "telephoneNumber": "+442079460958", "altTelephoneNumber": "+447700900123", "pronouns": "she/her",
		"communicationPreferences": {"email": true}, "avatarUrl": "https://example.com/jane.png", "dob": "1980-02-29",
		"nationality": "British", "niNumber": "AA123456A", "occupation": "Surveyor", "address": {"line_1": "1 High Street",
		"line_2": "Flat 2", "line_3": "By the river", "post_town": "London", "county": "Kent", "postcode": "SW1A 1AA", "uprn": "100023336956"}}`
	examples := asyncExamples(t)
	request := maps.Clone(examples["ClientRecord"][0].Payload)
	delete(request, "id")
	delete(request, "status")
	example, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{testcluster.Jane, full, string(example)} {
		testcluster.Succeeded(t, api, testcluster.Accepted(t, api, body, ""))
	}
	js := testcluster.JetStream(t, natsURL)
	for _, body := range []string{`{"firstName": ""}`, `nonsense`} {
		id := publishertest.NewID(t)
		if _, err := js.Publish(t.Context(), domain.SubjectCreate+id.String(), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	gone := testcluster.Accepted(t, api, testcluster.Jane, "")
	testcluster.Succeeded(t, api, gone)
	id := gone[strings.LastIndex(gone, "/")+1:]
	publishertest.Eventually(t, "the client is erased", func() bool {
		status, _, _ := testcluster.RunLine(t, "erase", "--yes", id, "--nats-url", natsURL, "--data-dir", dir)
		return status == cli.ExitOK
	})
	publishertest.Eventually(t, "both rejections", func() bool { return len(testcluster.Messages(t, natsURL, domain.StreamRejections)) == 2 })

	schema := asyncSchemas(t)
	for kind, all := range examples {
		for _, example := range all {
			if err := errors.Join(schema(kind).Validate(example.Payload), schema(headersOf[kind]).Validate(example.Headers)); err != nil {
				t.Errorf("example of %s: %v", kind, err)
			}
		}
	}
	withoutBodies(t, js, schema)
	seen := map[string]int{}
	for _, stream := range []string{domain.StreamEvents, domain.StreamRejections} {
		for _, msg := range testcluster.Messages(t, natsURL, stream) {
			kind := map[string]string{domain.SubjectCreated: "ClientRecord", domain.SubjectErased: "Erased"}[msg.Subject]
			if kind == "" {
				kind = "Rejection"
			}
			seen[kind]++
			body, err := jsonschema.UnmarshalJSON(strings.NewReader(string(msg.Data)))
			if err == nil {
				err = schema(kind).Validate(body)
			}
			if err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			header := map[string]any{}
			for name, values := range msg.Header {
				header[name] = values[0]
			}
			examples[kind] = slices.DeleteFunc(examples[kind], func(e asyncExample) bool { return e.is(header, body) })
			if err := schema(headersOf[kind]).Validate(header); err != nil {
				t.Errorf("headers of %s: %v", kind, err)
			}
		}
	}
	for kind, all := range examples {
		if len(all) > 0 {
			t.Errorf("no %s is like the example %v", kind, all)
		}
	}
	if want := "map[ClientRecord:3 Erased:1 Rejection:2]"; fmt.Sprint(seen) != want {
		t.Errorf("%v, want %s", seen, want)
	}
	serve.Stop()
}
