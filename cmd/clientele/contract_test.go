package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"clientele/domain"
	"clientele/publisher/ingress"
	"clientele/publisher/publishertest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// asyncSchemas returns the schemas of the description of the messages, by their names.
func asyncSchemas(t *testing.T) func(name string) *jsonschema.Schema {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(ingress.AsyncAPI, &doc); err != nil {
		t.Fatal(err)
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

// TestMessagesAreAsDescribed has a service publish every kind of message, and holds each against the description.
func TestMessagesAreAsDescribed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := clientele(t, "serve", "--data-dir", dir)
	api, natsURL := serve.api(), serve.says(natsIsAt)
	const full = `{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jsmith@example.com", "title": "Dr", "middleName": "Anne",
		"companyName": "Smith", "telephoneNumber": "+442079460958", "altTelephoneNumber": "+447700900123", "pronouns": "she/her",
		"communicationPreferences": {"email": true}, "avatarUrl": "https://example.com/jane.png", "dob": "1980-02-29",
		"nationality": "British", "niNumber": "AA123456A", "occupation": "Surveyor", "address": {"line_1": "1 High Street",
		"line_2": "Flat 2", "line_3": "By the river", "post_town": "London", "county": "Kent", "postcode": "SW1A 1AA", "uprn": "100023336956"}}`
	for _, body := range []string{jane, full} {
		succeeded(t, api, accepted(t, api, body, ""))
	}
	js := jetStream(t, natsURL)
	for _, body := range []string{`{"firstName": ""}`, `nonsense`} {
		id := publishertest.NewID(t)
		if _, err := js.Publish(t.Context(), domain.SubjectCreate+id.String(), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	gone := accepted(t, api, jane, "")
	succeeded(t, api, gone)
	id := gone[strings.LastIndex(gone, "/")+1:]
	publishertest.Eventually(t, "it is erased", func() bool {
		status, _, _ := runLine(t, "erase", "--yes", id, "--nats-url", natsURL, "--data-dir", dir)
		return status == exitOK
	})
	publishertest.Eventually(t, "both rejections", func() bool { return len(messages(t, natsURL, domain.StreamRejections)) == 2 })

	schema := asyncSchemas(t)
	seen := map[string]int{}
	for _, stream := range []string{domain.StreamEvents, domain.StreamRejections} {
		for _, msg := range messages(t, natsURL, stream) {
			kind := map[string]string{domain.SubjectCreated: "Client", domain.SubjectErased: "Erased"}[msg.Subject]
			headers := map[string]string{"Client": "CreatedHeaders", "Erased": "ErasedHeaders", "": "RejectedHeaders"}[kind]
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
			if err := schema(headers).Validate(header); err != nil {
				t.Errorf("headers of %s: %v", kind, err)
			}
		}
	}
	if want := "map[Client:2 Erased:1 Rejection:2]"; fmt.Sprint(seen) != want {
		t.Errorf("%v, want %s", seen, want)
	}
	serve.stop()
}
