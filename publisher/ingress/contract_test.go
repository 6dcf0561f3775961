package ingress_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/site"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/go-json-experiment/json"
)

// contract returns a router for the paths of openapi.yaml.
var contract = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(site.OpenAPI)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, err
	}
	closeSchemas(doc)
	return gorillamux.NewRouter(doc)
})

// closeSchemas forbids members that are not described. The contract allows them, so that later versions may add members. The
// tests forbid them, so that no member lacks a description.
func closeSchemas(doc *openapi3.T) {
	for _, schema := range doc.Components.Schemas {
		if len(schema.Value.Properties) > 0 {
			schema.Value.AdditionalProperties.Has = new(false)
		}
	}
}

// recorder records the response that is written to it.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.body.Write(b)
	return r.ResponseWriter.Write(b)
}

// byContract checks every successful request and every response against openapi.yaml. That makes all tests of the handlers tests
// of the contract.
func byContract(t *testing.T, handler http.Handler) http.Handler {
	t.Helper()
	router, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &recorder{ResponseWriter: w}
		var sent bytes.Buffer
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &sent), r.Body}
		handler.ServeHTTP(answer, r)
		if r.Method == http.MethodHead || r.Context().Err() != nil {
			return
		}
		route, parameters, err := router.FindRoute(r)
		if err != nil {
			pages := strings.HasPrefix(r.URL.Path, "/docs") || r.URL.Path == "/problems/" || r.URL.Path == "/" // not part of the API
			if answer.status != http.StatusNotFound && answer.status != http.StatusMethodNotAllowed && !pages {
				t.Errorf("%s %s is not described, but the status is %d", r.Method, r.URL.Path, answer.status)
			}
			return
		}
		again := r.Clone(context.Background())
		again.Body = io.NopCloser(&sent)
		contentType := answer.Header().Get("Content-Type")
		isLines := r.Header.Get("Content-Type") == lines
		request := &openapi3filter.RequestValidationInput{Request: again, PathParams: parameters, Route: route, Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			ExcludeRequestBody: isLines, ExcludeResponseBody: !strings.Contains(contentType, "json") || contentType == lines,
		}}
		if contentType == lines {
			checkLines(t, route.Operation, sent.Bytes(), answer.body.Bytes())
		}
		if answer.status < http.StatusMultipleChoices {
			if err := openapi3filter.ValidateRequest(context.Background(), request); err != nil {
				t.Errorf("%s %s does not match the contract: %v", r.Method, r.URL.Path, err)
			}
		}
		response := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: request, Status: answer.status, Header: answer.Header(), Options: request.Options,
		}
		response.SetBodyBytes(answer.body.Bytes())
		if err := openapi3filter.ValidateResponse(context.Background(), response); err != nil {
			t.Errorf("the response to %s %s does not match the contract: %v", r.Method, r.URL.Path, err)
		}
	})
}

// lines is the media type of a batch and its response.
const lines = "application/x-ndjson"

// checkLines checks the accepted lines of a batch, and all of its results, against the contract.
func checkLines(t *testing.T, operation *openapi3.Operation, sent, received []byte) {
	t.Helper()
	results := values(t, received)
	var accepted []any
	for i, line := range strings.Split(string(sent), "\n") {
		if i < len(results) && results[i].(map[string]any)["status"].(float64) < http.StatusMultipleChoices {
			accepted = append(accepted, values(t, []byte(line))...)
		}
	}
	for _, c := range []struct {
		schema *openapi3.SchemaRef
		values []any
	}{
		{operation.RequestBody.Value.Content[lines].Schema, accepted},
		{operation.Responses.Status(http.StatusOK).Value.Content[lines].Schema, results},
	} {
		// One array of all lines: each validation compiles the schema.
		if err := openapi3.NewArraySchema().WithItems(c.schema.Value).VisitJSON(c.values, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%v does not match the contract: %v", c.values, err)
		}
	}
}

// values returns the JSON values of lines.
func values(t *testing.T, text []byte) (values []any) {
	t.Helper()
	for line := range strings.Lines(string(text)) {
		var value any
		if err := json.Unmarshal([]byte(line), &value); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		values = append(values, value)
	}
	return values
}

// TestContract checks the examples of requests, the list of problem types, and how the contracts are served.
func TestContract(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	doc, err := openapi3.NewLoader().LoadFromData(site.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"least", "full"} {
		example := doc.Paths.Value("/api/v2/clients").Post.RequestBody.Value.Content["application/json"].Examples[name]
		if a := h.post(marshal(t, example.Value.Value)); a.StatusCode != http.StatusAccepted {
			t.Errorf("example %s: %s", name, a.body)
		}
	}
	line := doc.Paths.Value(batchPath).Post.RequestBody.Value.Content[lines].Example
	if r := h.batch(marshal(t, line)).results(t, 1)[0]; r.Status != http.StatusAccepted {
		t.Errorf("the example of a line: %s", r.Body)
	}
	var described []string
	for _, name := range doc.Components.Schemas["Problem"].Value.Properties["type"].Value.Enum {
		described = append(described, name.(string))
	}
	var listed []string
	for _, match := range regexp.MustCompile(`href="(/problems/[a-z-]+)"`).FindAllStringSubmatch(string(h.request(http.MethodGet, "/problems/", "").body), -1) {
		listed = append(listed, match[1])
	}
	var table []string
	for _, p := range problem.Types {
		table = append(table, p.Type)
	}
	if len(listed) == 0 || !slices.Equal(described, listed) || !slices.Equal(described, table) {
		t.Errorf("problems described: %v, listed: %v, in the table: %v", described, listed, table)
	}
	for path, want := range map[string]string{"/openapi.yaml": "openapi: 3.1", "/asyncapi.yaml": "asyncapi: 3."} {
		a := h.request(http.MethodGet, path, "")
		if a.StatusCode != http.StatusOK || !strings.HasPrefix(string(a.body), want) || a.Header.Get("Content-Type") != "application/yaml" {
			t.Errorf("%s: %s %v", path, a.Status, a.Header)
		}
		if again := h.request(http.MethodGet, path, "", "If-None-Match", a.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: %s with If-None-Match", path, again.Status)
		}
	}
}
