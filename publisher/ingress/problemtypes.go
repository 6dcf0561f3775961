package ingress

import "net/http"

// problemID identifies a type of problem.
type problemID int

// The types of problems, in the order of their list.
const (
	problemMalformed problemID = iota
	problemInvalid
	problemKeyReused
	problemIdempotencyKey
	problemUnauthorized
	problemForbidden
	problemNotFound
	problemMethod
	problemAccept
	problemTimeout
	problemTooLarge
	problemMediaType
	problemTooMany
	problemBusy
	problemUnavailable
	problemLogFull
	problemUnknown
	problemInternal

	problemCount
)

// problemType is what all problems of one type have in common, and the text of the page about them.
type problemType struct {
	Type   string // a relative URI reference: the path of the page
	Title  string
	Status int
	Detail string // for a problem that has no more specific one

	Meaning, Remedy string
}

var problemTypes = [problemCount]problemType{
	problemMalformed: {
		Type:    "/problems/malformed-json",
		Title:   "The body is not valid JSON",
		Status:  http.StatusBadRequest,
		Meaning: "The body is not one JSON object in UTF-8, or a member is repeated.",
		Remedy:  "offset is the position of the error in bytes from 0, and pointer is the member. Fix the body and send it again.",
	},
	problemInvalid: {
		Type:    "/problems/invalid",
		Title:   "The client is not valid",
		Status:  http.StatusUnprocessableEntity,
		Detail:  "errors lists every member that breaks a rule",
		Meaning: "The body is JSON, and at least one member breaks a rule. errors lists each of them, by JSON Pointer, with the rule.",
		Remedy:  "Fix all of them and send the request again. Nothing was stored.",
	},
	problemKeyReused: {
		Type:    "/problems/idempotency-key-reused",
		Title:   "The idempotency key was used for another request",
		Status:  http.StatusUnprocessableEntity,
		Detail:  "a different body was sent under this Idempotency-Key before; choose a new key for a new client",
		Meaning: "Another request was sent under this Idempotency-Key before.",
		Remedy:  "For the same client, send the body that you sent then. For another client, choose a new key.",
	},
	problemIdempotencyKey: {
		Type:    "/problems/invalid-idempotency-key",
		Title:   "The Idempotency-Key header is not valid",
		Status:  http.StatusBadRequest,
		Meaning: "The Idempotency-Key is empty, longer than 255 characters, repeated, or has characters that are not allowed.",
		Remedy:  "Send one key of up to 255 printable ASCII characters.",
	},
	problemUnauthorized: {
		Type:    "/problems/unauthorized",
		Title:   "Authentication required",
		Status:  http.StatusUnauthorized,
		Detail:  "send an API key, or a token of the issuer, as Authorization: Bearer",
		Meaning: "The request has no token, or its token is mistyped, expired or revoked.",
		Remedy:  "Send Authorization: Bearer with an API key or a token of the issuer. The operators of the service issue API keys.",
	},
	problemForbidden: {
		Type:    "/problems/forbidden",
		Title:   "You may not do this",
		Status:  http.StatusForbidden,
		Meaning: "The token is valid, but lacks the scope that this request requires.",
		Remedy:  "Ask the operators for a key with that scope.",
	},
	problemNotFound: {
		Type:    "/problems/not-found",
		Title:   "Not found",
		Status:  http.StatusNotFound,
		Meaning: "No path, client or operation has this address. A rejected operation is forgotten after 90 days.",
		Remedy:  "Check the address. A client exists when its operation has succeeded.",
	},
	problemMethod: {
		Type:    "/problems/method-not-allowed",
		Title:   "Method not allowed",
		Status:  http.StatusMethodNotAllowed,
		Meaning: "The path does not have this method.",
		Remedy:  "Use one of the methods that Allow lists.",
	},
	problemAccept: {
		Type:    "/problems/not-acceptable",
		Title:   "Not acceptable",
		Status:  http.StatusNotAcceptable,
		Meaning: "Accept excludes JSON, in which the service answers.",
		Remedy:  "Send Accept: application/json, or no Accept.",
	},
	problemTimeout: {
		Type:    "/problems/timeout",
		Title:   "The request took too long",
		Status:  http.StatusRequestTimeout,
		Meaning: "The body did not arrive in time.",
		Remedy:  "Send the request again.",
	},
	problemTooLarge: {
		Type:    "/problems/too-large",
		Title:   "The body is too large",
		Status:  http.StatusRequestEntityTooLarge,
		Meaning: "The body is larger than 64 KiB.",
		Remedy:  "Send one client in each request.",
	},
	problemMediaType: {
		Type:    "/problems/unsupported-media-type",
		Title:   "Unsupported media type",
		Status:  http.StatusUnsupportedMediaType,
		Meaning: "The Content-Type is not JSON, or the body is compressed.",
		Remedy:  "Send Content-Type: application/json and no Content-Encoding.",
	},
	problemTooMany: {
		Type:    "/problems/too-many-requests",
		Title:   "Too many requests",
		Status:  http.StatusTooManyRequests,
		Detail:  "you sent more requests than your share; wait for Retry-After seconds",
		Meaning: "You have sent more requests than your share.",
		Remedy:  "Wait for Retry-After seconds. RateLimit shows what is left in every answer, RateLimit-Policy what your share is.",
	},
	problemBusy: {
		Type:    "/problems/busy",
		Title:   "The service has too many requests in progress",
		Status:  http.StatusServiceUnavailable,
		Detail:  "nothing was changed; try again later",
		Meaning: "The service has too many requests in progress.",
		Remedy:  "Wait for Retry-After seconds, and send the request again.",
	},
	problemUnavailable: {
		Type:    "/problems/unavailable",
		Title:   "The service cannot do this now",
		Status:  http.StatusServiceUnavailable,
		Detail:  "nothing was changed; try again later",
		Meaning: "Something that the service needs is unavailable. Nothing was changed.",
		Remedy:  "Wait for Retry-After seconds, and send the request again.",
	},
	problemLogFull: {
		Type:    "/problems/log-full",
		Title:   "The service has too much to do",
		Status:  http.StatusServiceUnavailable,
		Detail:  "the command was not accepted; try again later",
		Meaning: "Clients arrive faster than they are processed. This one was not accepted.",
		Remedy:  "Wait for Retry-After seconds or longer, and send the request again.",
	},
	problemUnknown: {
		Type:    "/problems/outcome-unknown",
		Title:   "It is not known whether the command was accepted",
		Status:  http.StatusServiceUnavailable,
		Detail:  "look at operation, or send the request again; with an Idempotency-Key that never makes a second client",
		Meaning: "The log did not answer in time, so the client may or may not have been accepted.",
		Remedy:  "Look at operation, or send the same request under the same Idempotency-Key, which never creates a second client. Without a key it may.",
	},
	problemInternal: {
		Type:    "/problems/internal",
		Title:   "Something is wrong with the service",
		Status:  http.StatusInternalServerError,
		Detail:  "this is a defect of the service",
		Meaning: "The service has a defect.",
		Remedy:  "Tell the operators the time of your request.",
	},
}
