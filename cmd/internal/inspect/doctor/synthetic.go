package doctor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"clientele/cmd/internal/inspect"
	"clientele/domain"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

// synthetic is a client that does not exist, in a domain that is reserved for examples.
const synthetic = `{"firstName": "Synthetic", "lastName": "Client", "emailAddress": "doctor@example.com"}`

// forbidden is a member that the API does not know. With it, the API validates the client, and refuses it for this reason alone. An API
// of an earlier version would ignore validate=only, and create the client.
const forbidden = "clienteleDoctor"

// apiTimeout bounds the request to the API.
const apiTimeout = 10 * time.Second

// dryRun sends a synthetic client on its way and has it refused at the last step, so that nothing is stored: by the API, if there is
// one, for a member that it does not know, and by the command log, because the message expects another stream.
func dryRun(ctx context.Context, v *visit) (found []inspect.Finding) {
	details, err := domain.Parse([]byte(synthetic), time.Now())
	if err != nil {
		return []inspect.Finding{fail("this program refuses the synthetic client: "+err.Error(), "Report this as a bug", seeStatus)}
	}
	id, err := domain.NewID()
	if err != nil {
		return []inspect.Finding{warn(err.Error(), "", "")}
	}
	command, err := domain.NewCreateClient(id, "doctor", time.Now(), details)
	if err != nil {
		return []inspect.Finding{warn(err.Error(), "", "")}
	}
	accepted := "this program accepts a synthetic client"
	if v.API != nil {
		if problem := v.API.refuse(ctx); problem != nil {
			return []inspect.Finding{*problem}
		}
		accepted = "the API validates a synthetic client"
	}
	if v.looked == nil {
		header := nats.Header{domain.HeaderFingerprint: {command.Fingerprint.String()}}
		if err := v.tryPublish(ctx, domain.SubjectCreate+id.String(), header, command.Body); err != nil {
			return []inspect.Finding{fail(accepted+", but the log does not accept it: "+v.Explain(err).Error(), "Look at the other findings", seeStatus)}
		}
		accepted += ", and the log answers; nothing was stored"
	}
	return []inspect.Finding{ok("%s", accepted)}
}

// refuse posts the synthetic client with the member that the API does not know. It returns nil if the API refuses only that member.
func (a *API) refuse(ctx context.Context) *inspect.Finding {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	body := strings.TrimSuffix(synthetic, "}") + `, "` + forbidden + `": true}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(a.URL, "/")+"/api/v2/clients", bytes.NewBufferString(body))
	if err != nil {
		problem := fail(err.Error(), "Correct --url", inspect.SeeKeys)
		return &problem
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", a.UserAgent)
	if a.Token != "" {
		r.Header.Set("Authorization", "Bearer "+a.Token)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.TLS, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		problem := fail("the API does not respond: "+err.Error(), "Start an ingress, or correct --url and --ca", inspect.SeeServers)
		return &problem
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	return judgeAnswer(response.StatusCode, answer)
}

// judgeAnswer judges the response to the synthetic client.
func judgeAnswer(status int, body []byte) *inspect.Finding {
	document := struct {
		Title  string             `json:"title"`
		Errors []domain.Violation `json:"errors"`
	}{}
	_ = json.Unmarshal(body, &document)
	only := func(v domain.Violation) bool { return v.Pointer == "/"+forbidden }
	found := fmt.Sprintf("the API responds with %d %s", status, document.Title)
	var problem inspect.Finding
	switch {
	case status == http.StatusUnprocessableEntity && len(document.Errors) > 0 && !slices.ContainsFunc(document.Errors, func(v domain.Violation) bool { return !only(v) }):
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		problem = fail(found, "Pass a key with the scope clients:write in CLIENTELE_TOKEN", inspect.SeeKeys)
	case status == http.StatusServiceUnavailable:
		problem = fail(found, "Look at /readyz of the ingress", inspect.SeeHealth)
	default:
		problem = fail(found, "Check that --url is the API of a clientele of this version", inspect.SeeUpgrade)
	}
	return &problem
}
