package ingress

import (
	"bytes"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// problemHelp says of each type of problem what to do about it, for people.
var problemHelp = []struct {
	problem problem
	meaning string
	remedy  string
}{
	{
		problemMalformed, "The body is not JSON, or not one JSON object in UTF-8, or a member has a value of the wrong type or is there twice.",
		"Look at offset, which counts bytes from 0, and at pointer, the member in which it was noticed. Mend the body and send it again.",
	},
	{
		problemInvalid, "The body is JSON, and breaks at least one rule. errors lists every member that does, by JSON Pointer, with what is wanted.",
		"Mend all of them and send the request again. Nothing was taken in.",
	},
	{
		problemKeyReused, "Another request was sent under this Idempotency-Key before.",
		"If it is the same client that you want, send the same body as then. For another client choose a new key.",
	},
	{
		problemIdempotencyKey, "The Idempotency-Key is empty, too long, there twice, or has characters that it may not have.",
		"Send one key of up to 255 printable ASCII characters.",
	},
	{
		problemUnauthorized, "There is no token, or it is nobody's: mistyped, expired, or revoked.",
		"Send Authorization: Bearer and an API key, or a token of the issuer. Who runs the service has keys for you.",
	},
	{problemForbidden, "The token is good, and does not have the scope that this takes.", "Ask who runs the service for a key with that scope."},
	{
		problemNotFound, "There is nothing here: no such path, client or operation. An operation that was rejected is forgotten after 90 days.",
		"Look at the address. A client is there when its operation has succeeded.",
	},
	{problemMethod, "The path is right and the method is not.", "Allow lists the methods that the path takes."},
	{problemAccept, "Accept leaves out what the service answers with.", "Send Accept: application/json, or none."},
	{problemTimeout, "The body did not arrive within the time for a request.", "Send it again, from nearer by or in one go."},
	{problemTooLarge, "The body has more than 64 KiB.", "A client has less. Send one client a request."},
	{problemMediaType, "The body is not said to be JSON, or is compressed.", "Send Content-Type: application/json and no Content-Encoding."},
	{
		problemTooMany, "You have sent more requests than your share.",
		"Wait for Retry-After seconds. RateLimit says in every answer what is left, RateLimit-Policy what your share is.",
	},
	{problemBusy, "The service has as many requests under way as it takes.", "Wait for Retry-After seconds, and send the request again."},
	{problemUnavailable, "Something that the service needs is away. Nothing was changed.", "Wait for Retry-After seconds, and send the request again."},
	{problemLogFull, "More clients came in than could be worked off. This one was not taken in.", "Wait for Retry-After seconds or longer, and send the request again."},
	{
		problemUnknown, "The request was passed on, and no answer came: the client may be taken in, or not.",
		"Look at operation, or send the same request under the same Idempotency-Key: that never makes a second client. Without a key it may.",
	},
	{problemInternal, "Something is wrong with the service itself.", "Tell who runs it, with the time of your request."},
}

// contentSecurityPolicy lets a page have its own style, and nothing else.
const contentSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var problemPage = template.Must(template.New("problem").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{with .One}}{{.Title}}{{else}}Problems{{end}} · Clientele</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; background: #fff }
code { font-size: .9em; color: #555 }
a { color: #0b57d0 }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #161616 } a { color: #8ab4f8 } code { color: #aaa } }
</style>
{{with .One}}<h1>{{.Title}}</h1>
<p><code>{{.Status}} {{.Type}}</code></p>
<p>{{$.Meaning}}</p>
<h2>What to do</h2>
<p>{{$.Remedy}}</p>
<p><a href="/problems/">All problems</a></p>
{{else}}<h1>Problems</h1>
<p>What an answer of the API may say is wrong.</p>
<ul>{{range .All}}
<li><a href="{{.Type}}">{{.Title}}</a> <code>{{.Status}}</code></li>{{end}}
</ul>
{{end}}</html>
`))

// problems is GET /problems/{type}: a page about one type of problem, or a list of all.
func problems(w http.ResponseWriter, r *http.Request) {
	var page struct {
		All             []problem
		One             *problem
		Meaning, Remedy string
	}
	for _, h := range problemHelp {
		page.All = append(page.All, h.problem)
	}
	if name := strings.TrimPrefix(r.URL.Path, "/problems/"); name != "" {
		i := slices.IndexFunc(page.All, func(p problem) bool { return p.Type == "/problems/"+name })
		if i < 0 {
			problemNotFound.write(w, "there is no such type of problem; /problems/ lists them")
			return
		}
		page.One, page.Meaning, page.Remedy = &page.All[i], problemHelp[i].meaning, problemHelp[i].remedy
	}
	var body bytes.Buffer
	if err := problemPage.Execute(&body, page); err != nil {
		problemInternal.write(w, problemInternal.Detail)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", contentSecurityPolicy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(body.Bytes())
}
