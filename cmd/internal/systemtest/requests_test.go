package systemtest

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/ingress/site"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/go-json-experiment/json"
)

// documented are the statuses of the examples of requests whose response is not 200. A name is that of the operation and, for a request with
// the example of a parameter, that of the parameter.
var documented = map[string]int{
	"createClient":                 http.StatusAccepted,
	"createClient Idempotency-Key": http.StatusAccepted,
	"createClient traceparent":     http.StatusAccepted,
	"createClient Prefer":          http.StatusCreated,
}

// exampleRequest is a request with the examples of an operation.
type exampleRequest struct {
	name, method, path string
	query              url.Values
	header             http.Header
	mediaType          string
	body               any
}

// exampleRequests returns a request for each example of a body and of a parameter of an operation. Each path has the id instead of its example.
func exampleRequests(t *testing.T, method, path string, operation *openapi3.Operation, id string) (requests []exampleRequest) {
	t.Helper()
	base := exampleRequest{name: operation.OperationID, method: method, path: path, query: url.Values{}, header: http.Header{}}
	var optional []*openapi3.Parameter
	for _, p := range operation.Parameters {
		switch {
		case p.Value.In != openapi3.ParameterInPath:
			optional = append(optional, p.Value)
		case p.Value.Name == "id":
			base.path = strings.ReplaceAll(base.path, "{id}", id)
		default:
			base.path = strings.ReplaceAll(base.path, "{"+p.Value.Name+"}", p.Value.Example.(string))
		}
	}
	requests = withBodies(base, operation)
	for _, p := range optional {
		r := requests[0]
		r.name += " " + p.Name
		r.query, r.header = maps.Clone(r.query), maps.Clone(r.header)
		example, ok := p.Example.(string)
		if !ok {
			example = p.Schema.Value.Enum[0].(string)
		}
		if p.In == openapi3.ParameterInQuery {
			r.query.Set(p.Name, example)
		} else {
			r.header.Set(p.Name, example)
		}
		requests = append(requests, r)
	}
	return requests
}

// withBodies returns the request with each example of its body, or without one if it has none.
func withBodies(base exampleRequest, operation *openapi3.Operation) (requests []exampleRequest) {
	if operation.RequestBody == nil {
		return []exampleRequest{base}
	}
	for mediaType, content := range operation.RequestBody.Value.Content {
		base.mediaType = mediaType
		examples := []any{content.Example}
		if content.Example == nil {
			examples = nil
			for _, name := range slices.Sorted(maps.Keys(content.Examples)) {
				examples = append(examples, content.Examples[name].Value.Value)
			}
		}
		for _, base.body = range examples {
			requests = append(requests, base)
		}
	}
	return requests
}

// send sends the request, and returns the response when it agrees with the contract.
func (e exampleRequest) send(t *testing.T, api string, doc *openapi3.T) testcluster.Reply {
	t.Helper()
	target := api + e.path + "?" + e.query.Encode()
	var body []byte
	if e.body != nil {
		var err error
		if body, err = json.Marshal(e.body); err != nil {
			t.Fatal(err)
		}
	}
	request := func() *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), e.method, target, strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(r.Header, e.header)
		if e.mediaType != "" {
			r.Header.Set("Content-Type", e.mediaType)
		}
		return r
	}
	reply, err := testcluster.RoundTrip(request())
	if err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	sent := request()
	sent.URL.Scheme, sent.URL.Host = "", ""
	route, parameters, err := router.FindRoute(sent)
	if err != nil {
		t.Fatal(err)
	}
	contentType := reply.Header.Get("Content-Type")
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
		ExcludeRequestBody: e.mediaType == "application/x-ndjson", ExcludeResponseBody: !strings.HasSuffix(contentType, "json") || strings.HasSuffix(contentType, "ndjson"),
	}
	input := &openapi3filter.RequestValidationInput{Request: sent, PathParams: parameters, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
		t.Errorf("%s: the request does not match the contract: %v", e.name, err)
	}
	response := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: reply.Status, Header: reply.Header, Options: options}
	response.SetBodyBytes([]byte(reply.Body))
	if err := openapi3filter.ValidateResponse(context.Background(), response); err != nil {
		t.Errorf("%s: the response does not match the contract: %v", e.name, err)
	}
	return reply
}

// TestExamplesOfRequests sends every example of a request in openapi.yaml, of bodies and of parameters, to a service. Each has the documented
// status and a response as described.
func TestExamplesOfRequests(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	api := serve.API()
	created := testcluster.Created(t, api)
	doc, err := openapi3.NewLoader().LoadFromData(site.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for _, e := range exampleRequests(t, method, path, operation, created[strings.LastIndex(created, "/")+1:]) {
				want, known := documented[e.name]
				if !known {
					want = http.StatusOK
				}
				sent[e.name] = true
				reply := e.send(t, api, doc)
				if reply.Status != want {
					t.Errorf("%s: %d, want %d: %s", e.name, reply.Status, want, reply.Body)
				}
				for line := range strings.Lines(reply.Body) {
					var result struct {
						Status int `json:"status"`
					}
					if e.mediaType == "application/x-ndjson" && (json.Unmarshal([]byte(line), &result) != nil || result.Status >= http.StatusMultipleChoices) {
						t.Errorf("%s: %s", e.name, line)
					}
				}
			}
		}
	}
	for name := range documented {
		if !sent[name] {
			t.Errorf("no request is called %s: %v", name, slices.Sorted(maps.Keys(sent)))
		}
	}
	serve.Stop()
}
