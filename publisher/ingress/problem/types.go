package problem

import "net/http"

// ID identifies a type of problem.
type ID int

// The types of problems, in the order of their list.
const (
	Malformed ID = iota
	Invalid
	Query
	KeyReused
	Erased
	IdempotencyKey
	Unauthorized
	Forbidden
	CrossOrigin
	NotFound
	Method
	Accept
	Timeout
	TooLarge
	MediaType
	Misdirected
	TooMany
	Busy
	Unavailable
	LogFull
	Unknown
	Internal

	count
)

// Type has what all problems of one type share, and the text of their page.
type Type struct {
	Type   string // a relative URI reference: the path of the page
	Title  string
	Status int
	Detail string // the default; empty if every problem has its own

	Meaning, Remedy string
}

// Types are all types of problems, by their ID.
var Types = [count]Type{
	Malformed: {
		Type:    "/problems/malformed-json",
		Title:   "The body is not valid JSON",
		Status:  http.StatusBadRequest,
		Meaning: "The body, or the line of a batch, is not one JSON object in UTF-8, or a member is repeated.",
		Remedy:  "Correct the body and send it again. offset is the position of the error in bytes, starting at 0, and pointer names the member.",
	},
	Invalid: {
		Type:    "/problems/invalid",
		Title:   "The client is not valid",
		Status:  http.StatusUnprocessableEntity,
		Detail:  "errors lists every member that breaks a rule",
		Meaning: "The body is valid JSON, but at least one member breaks a rule. errors lists each one with its JSON Pointer and the rule.",
		Remedy:  "Nothing was stored. Correct every listed member and send the request again.",
	},
	Query: {
		Type:    "/problems/invalid-query",
		Title:   "The query of the URL is not valid",
		Status:  http.StatusBadRequest,
		Meaning: "The query of the URL cannot be read, or a parameter has a value that the path does not support. Nothing was stored.",
		Remedy:  "detail names the parameter and its values. To validate a client, send validate=only once. To create clients, send no query.",
	},
	KeyReused: {
		Type:    "/problems/idempotency-key-reused",
		Title:   "The idempotency key was used for another request",
		Status:  http.StatusUnprocessableEntity,
		Detail:  "this Idempotency-Key was used with a different body; use a new key for a new client",
		Meaning: "An earlier request with this Idempotency-Key had a different body.",
		Remedy:  "To retry, send the original body. To create another client, use a new key.",
	},
	Erased: {
		Type:    "/problems/erased",
		Title:   "The client was erased",
		Status:  http.StatusGone,
		Detail:  "the client of this Idempotency-Key was erased; use a new key for a new client",
		Meaning: "An earlier request with this Idempotency-Key created a client that has since been erased. Its id is never used again.",
		Remedy:  "If the person may be stored again, send the request with a new key.",
	},
	IdempotencyKey: {
		Type:    "/problems/invalid-idempotency-key",
		Title:   "The Idempotency-Key header is not valid",
		Status:  http.StatusBadRequest,
		Meaning: "The Idempotency-Key header is empty, longer than 255 characters, repeated, or contains characters that are not allowed.",
		Remedy:  "Send one key of up to 255 printable ASCII characters.",
	},
	Unauthorized: {
		Type:    "/problems/unauthorized",
		Title:   "Authentication required",
		Status:  http.StatusUnauthorized,
		Detail:  "send an API key or a token from the issuer as Authorization: Bearer",
		Meaning: "The request has no token, or the token is invalid, expired or revoked.",
		Remedy:  "Send Authorization: Bearer with an API key or a token from the OpenID Connect issuer. The operators of the service issue API keys.",
	},
	Forbidden: {
		Type:    "/problems/forbidden",
		Title:   "Permission denied",
		Status:  http.StatusForbidden,
		Meaning: "The token is valid but lacks the scope that this request requires.",
		Remedy:  "Ask the operators for a key with this scope.",
	},
	CrossOrigin: {
		Type:    "/problems/cross-origin",
		Title:   "Cross-origin request refused",
		Status:  http.StatusForbidden,
		Detail:  "a browser sent this request for a page of another site; nothing was changed",
		Meaning: "A browser sent the request for a page of another site: its Sec-Fetch-Site or Origin header says so. Nothing was changed.",
		Remedy:  "Call the API from your server. Browsers can only call it from its own pages.",
	},
	NotFound: {
		Type:    "/problems/not-found",
		Title:   "Not found",
		Status:  http.StatusNotFound,
		Meaning: "There is no path, client or operation at this address. Rejected operations are deleted after 90 days. Without the scope clients:read, you see only your own operations.",
		Remedy:  "Check the address. A client exists once its operation has succeeded.",
	},
	Method: {
		Type:    "/problems/method-not-allowed",
		Title:   "Method not allowed",
		Status:  http.StatusMethodNotAllowed,
		Meaning: "The path does not support this method.",
		Remedy:  "Use one of the methods in the Allow header.",
	},
	Accept: {
		Type:    "/problems/not-acceptable",
		Title:   "Not acceptable",
		Status:  http.StatusNotAcceptable,
		Meaning: "The Accept header excludes JSON, the only format of the API.",
		Remedy:  "Send Accept: application/json, or omit the header.",
	},
	Timeout: {
		Type:    "/problems/timeout",
		Title:   "Request timeout",
		Status:  http.StatusRequestTimeout,
		Meaning: "The body did not arrive in time.",
		Remedy:  "Send the request again.",
	},
	TooLarge: {
		Type:    "/problems/too-large",
		Title:   "The body is too large",
		Status:  http.StatusRequestEntityTooLarge,
		Meaning: "The client is larger than 64 KiB, or the batch has more than 1,000 lines.",
		Remedy:  "Send one client per request, or at most 1,000 lines in a batch.",
	},
	MediaType: {
		Type:    "/problems/unsupported-media-type",
		Title:   "Unsupported media type",
		Status:  http.StatusUnsupportedMediaType,
		Meaning: "The Content-Type is not application/json, or application/x-ndjson for a batch, or the body is compressed.",
		Remedy:  "Send the Content-Type that detail names and omit Content-Encoding.",
	},
	Misdirected: {
		Type:    "/problems/misdirected-request",
		Title:   "Misdirected request",
		Status:  http.StatusMisdirectedRequest,
		Detail:  "the service does not accept requests for this host; use the URL that its operators gave you",
		Meaning: "This service does not accept requests for the host in the URL or the Host header. Nothing was changed.",
		Remedy:  "Use the URL that the operators gave you. Operators can allow further hosts.",
	},
	TooMany: {
		Type:    "/problems/too-many-requests",
		Title:   "Too many requests",
		Status:  http.StatusTooManyRequests,
		Detail:  "you exceeded your rate limit; wait for Retry-After seconds",
		Meaning: "You exceeded your rate limit. Each line of a batch counts as a request.",
		Remedy:  "Wait for Retry-After seconds. The RateLimit-Policy header of each response contains your limit, and RateLimit contains the remaining requests.",
	},
	Busy: {
		Type:    "/problems/busy",
		Title:   "Too many requests in progress",
		Status:  http.StatusServiceUnavailable,
		Detail:  "nothing was changed; try again later",
		Meaning: "The service is processing as many requests as it allows at once. Nothing was changed.",
		Remedy:  "Wait for Retry-After seconds and send the request again.",
	},
	Unavailable: {
		Type:    "/problems/unavailable",
		Title:   "Service unavailable",
		Status:  http.StatusServiceUnavailable,
		Detail:  "nothing was changed; try again later",
		Meaning: "A system that the service depends on is unavailable. Nothing was changed.",
		Remedy:  "Wait for Retry-After seconds and send the request again.",
	},
	LogFull: {
		Type:    "/problems/log-full",
		Title:   "The service is overloaded",
		Status:  http.StatusServiceUnavailable,
		Detail:  "the command was not accepted; try again later",
		Meaning: "Clients arrive faster than they are processed, and the command log is full. This one was not accepted.",
		Remedy:  "Wait for at least Retry-After seconds and send the request again.",
	},
	Unknown: {
		Type:    "/problems/outcome-unknown",
		Title:   "The command may or may not have been accepted",
		Status:  http.StatusServiceUnavailable,
		Detail:  "check operation, or send the request again; with the same Idempotency-Key, a retry never creates a second client",
		Meaning: "The command log did not acknowledge the command in time, so the outcome is unknown.",
		Remedy:  "Check the URL in operation, or send the same request again with the same Idempotency-Key. A retry with the same key never creates a second client; without a key, it can.",
	},
	Internal: {
		Type:    "/problems/internal",
		Title:   "Internal error",
		Status:  http.StatusInternalServerError,
		Detail:  "an unexpected error occurred; report the time of your request to the operators",
		Meaning: "The service encountered an unexpected error.",
		Remedy:  "Report the time of your request to the operators.",
	},
}
