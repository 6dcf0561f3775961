package ingress

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
)

// problemHelp says what each type of problem means and what to do about it, for people.
var problemHelp = []struct {
	problem problem
	meaning string
	remedy  string
}{
	{
		problemMalformed, "The body is not one JSON object in UTF-8, or a member is repeated.",
		"offset is the position of the error in bytes from 0, and pointer is the member. Fix the body and send it again.",
	},
	{
		problemInvalid, "The body is JSON, and at least one member breaks a rule. errors lists each of them, by JSON Pointer, with the rule.",
		"Fix all of them and send the request again. Nothing was stored.",
	},
	{
		problemKeyReused, "Another request was sent under this Idempotency-Key before.",
		"For the same client, send the body that you sent then. For another client, choose a new key.",
	},
	{
		problemIdempotencyKey, "The Idempotency-Key is empty, longer than 255 characters, repeated, or has characters that are not allowed.",
		"Send one key of up to 255 printable ASCII characters.",
	},
	{
		problemUnauthorized, "The request has no token, or its token is mistyped, expired or revoked.",
		"Send Authorization: Bearer with an API key or a token of the issuer. The operators of the service issue API keys.",
	},
	{problemForbidden, "The token is valid, but lacks the scope that this request requires.", "Ask the operators for a key with that scope."},
	{
		problemNotFound, "No path, client or operation has this address. A rejected operation is forgotten after 90 days.",
		"Check the address. A client exists when its operation has succeeded.",
	},
	{problemMethod, "The path does not have this method.", "Use one of the methods that Allow lists."},
	{problemAccept, "Accept excludes JSON, in which the service answers.", "Send Accept: application/json, or no Accept."},
	{problemTimeout, "The body did not arrive in time.", "Send the request again."},
	{problemTooLarge, "The body is larger than 64 KiB.", "Send one client in each request."},
	{problemMediaType, "The Content-Type is not JSON, or the body is compressed.", "Send Content-Type: application/json and no Content-Encoding."},
	{
		problemTooMany, "You have sent more requests than your share.",
		"Wait for Retry-After seconds. RateLimit shows what is left in every answer, RateLimit-Policy what your share is.",
	},
	{problemBusy, "The service has too many requests in progress.", "Wait for Retry-After seconds, and send the request again."},
	{problemUnavailable, "Something that the service needs is unavailable. Nothing was changed.", "Wait for Retry-After seconds, and send the request again."},
	{problemLogFull, "Clients arrive faster than they are processed. This one was not accepted.", "Wait for Retry-After seconds or longer, and send the request again."},
	{
		problemUnknown, "The log did not answer in time, so the client may or may not have been accepted.",
		"Look at operation, or send the same request under the same Idempotency-Key, which never creates a second client. Without a key it may.",
	},
	{problemInternal, "The service has a defect.", "Tell the operators the time of your request."},
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
