package ingress

import (
	"bytes"
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

// contentSecurityPolicy lets a page have the style of the site, and nothing else.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// problems is GET /problems/{type}: a page about one type of problem, or a list of all.
func problems(w http.ResponseWriter, r *http.Request) {
	content := struct {
		page
		All             []problem
		One             *problem
		Meaning, Remedy string
	}{page: page{"Problems", "problems"}}
	for _, h := range problemHelp {
		content.All = append(content.All, h.problem)
	}
	if name := strings.TrimPrefix(r.URL.Path, "/problems/"); name != "" {
		i := slices.IndexFunc(content.All, func(p problem) bool { return p.Type == "/problems/"+name })
		if i < 0 {
			problemNotFound.write(w, "there is no such type of problem; /problems/ lists them")
			return
		}
		content.One, content.Meaning, content.Remedy = &content.All[i], problemHelp[i].meaning, problemHelp[i].remedy
		content.Title = content.One.Title
	}
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, "problems.html", content); err != nil {
		problemInternal.write(w, problemInternal.Detail)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", contentSecurityPolicy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(body.Bytes())
}
