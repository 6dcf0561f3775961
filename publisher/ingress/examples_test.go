package ingress_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/ingress/site"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

func description(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(site.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestExamplesOfMembers sends every example of a member or a header in openapi.yaml. Each must be accepted.
func TestExamplesOfMembers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	doc := description(t)
	sent := 0
	send := func(member string, value any, headers ...string) {
		t.Helper()
		sent++
		body := map[string]any{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jsmith@example.com"}
		if member != "" {
			body[member] = value
		}
		if a := h.post(marshal(t, body), headers...); a.StatusCode != http.StatusAccepted {
			t.Errorf("%s %v %v: %s %s", member, value, headers, a.Status, a.body)
		}
	}
	for name, property := range doc.Components.Schemas["CreateClient"].Value.Properties {
		for _, example := range property.Value.Examples {
			send(name, example)
		}
	}
	for name, property := range doc.Components.Schemas["CreateAddress"].Value.Properties {
		for _, example := range property.Value.Examples {
			send("address", map[string]any{"line_1": "1 High Street", "postcode": "SW1A 1AA", name: example})
		}
	}
	for _, parameter := range doc.Paths.Value("/api/v2/clients").Post.Parameters {
		if parameter.Value.In == "query" {
			continue
		}
		example := parameter.Value.Example.(string)
		if parameter.Value.Name == "Prefer" {
			example = strings.Replace(example, "10", "1", 1) // there is no worker, so the wait lasts its full time
		}
		send("", nil, parameter.Value.Name, example)
	}
	if sent < 10 {
		t.Errorf("%d examples", sent)
	}
}

// TestExamplesOfResponses compares every example of a response with a real one. Where the request determines the response, both
// must be equal. Otherwise, names of members and types of values must be.
func TestExamplesOfResponses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	doc := description(t)
	post := doc.Paths.Value("/api/v2/clients").Post.Responses
	examples := map[string]any{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				for _, content := range response.Value.Content {
					if content.Example != nil {
						examples[method+" "+path+" "+status] = content.Example
					}
					for name, example := range content.Examples {
						examples[method+" "+path+" "+status+" "+name] = example.Value.Value
					}
				}
			}
		}
	}

	record := maps.Clone(post.Status(http.StatusCreated).Value.Content["application/json"].Examples["record"].Value.Value.(map[string]any))
	request := maps.Clone(record)
	delete(request, "id")
	delete(request, "status")
	details, err := domain.Parse([]byte(marshal(t, request)), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	accepted := h.post(marshal(t, request), "Idempotency-Key", "record")
	id := uuid.MustParse(accepted.object(t)["id"].(string))
	h.work(id, details)
	client := h.request(http.MethodGet, "/api/v2/clients/"+id.String(), "").object(t)
	created := h.post(marshal(t, request), "Idempotency-Key", "record", "Prefer", "wait=10").object(t)
	record["id"] = id.String()
	for _, got := range []map[string]any{client, created} {
		if !reflect.DeepEqual(got, record) {
			t.Errorf("got %v, want %v", got, record)
		}
	}

	unknown := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/api/v2/clients", strings.NewReader(jane))
	r.Header.Set("Content-Type", "application/json")
	ingress.NewHandler(silentLog{h.log}, h.store, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()}).ServeHTTP(unknown, r)

	for name, got := range map[string]map[string]any{
		"GET /api/v2/clients/{id} 200 record":       client,
		"POST /api/v2/clients 201 record":           created,
		"POST /api/v2/clients 200":                  h.request(http.MethodPost, "/api/v2/clients?validate=only", jane, "Content-Type", "application/json").object(t),
		"POST /api/v2/clients 202":                  accepted.object(t),
		"POST /api/v2/clients 400":                  h.post(`{"firstName":"Ja`).object(t),
		"POST /api/v2/clients 422":                  h.post(`{"telephoneNumber": "020 7946 0123",` + jane[1:]).object(t),
		"POST /api/v2/clients 503":                  answer{unknown.Result(), unknown.Body.Bytes()}.object(t),
		"POST /api/v2/clients/batch 200 accepted":   h.batch(lineOf("", jane)).object(t),
		"POST /api/v2/clients/batch 200 valid":      h.request(http.MethodPost, batchPath+"?validate=only", lineOf("", jane), "Content-Type", lines).object(t),
		"POST /api/v2/clients/batch 200 invalid":    h.batch(lineOf("", `{"firstName": "Jane", "lastName": "Smith"}`)).object(t),
		"GET /api/v2/operations/{id} 200 succeeded": h.request(http.MethodGet, "/api/v2/operations/"+id.String(), "").object(t),
		"GET /api/v2/operations/{id} 200 rejected":  h.rejected(t).object(t),
		"GET /api/v2/operations 200":                h.request(http.MethodGet, "/api/v2/operations?status=rejected", "").object(t),
	} {
		want := examples[name]
		delete(examples, name)
		if full := strings.HasSuffix(name, " 400") || strings.HasSuffix(name, " 422") || strings.HasSuffix(name, " invalid"); full && !reflect.DeepEqual(want, any(got)) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		if got, want := marshalShape(t, got), marshalShape(t, want); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if len(examples) > 0 {
		t.Errorf("examples without a test: %v", slices.Sorted(maps.Keys(examples)))
	}
}

// rejected rejects a command and returns its operation.
func (h *harness) rejected(t *testing.T) answer {
	t.Helper()
	id := h.post(jane).object(t)["id"].(string)
	h.reject(id, domain.CodeInvalid, domain.Violation{Pointer: "/dob", Detail: "must be a date in the past"})
	return h.request(http.MethodGet, "/api/v2/operations/"+id, "")
}

// marshalShape returns a value as JSON, with every string empty and every number 0.
func marshalShape(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(shape(v), json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		members := map[string]any{}
		for name, value := range v {
			members[name] = shape(value)
		}
		return members
	case []any:
		var elements []any
		for _, value := range v {
			elements = append(elements, shape(value))
		}
		return elements
	case nil, bool:
		return v
	case string:
		return ""
	default:
		return 0
	}
}
