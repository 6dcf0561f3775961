package ingress

import (
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
)

// methods are the handlers of one path. It answers any other method with 405 and Allow, HEAD like GET, and 406 to a caller
// who does not take JSON.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body out
	}
	handler, ok := m[method]
	if !ok {
		allow := slices.Sorted(maps.Keys(m))
		if _, ok := m[http.MethodGet]; ok {
			allow = append(allow, http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		problemMethod.write(w, "the methods of this path are "+strings.Join(allow, ", "))
		return
	}
	if !acceptsJSON(r.Header.Values("Accept")) {
		problemAccept.write(w, "answers are application/json, or application/problem+json")
		return
	}
	handler(w, r)
}

// acceptsJSON says whether an Accept header (RFC 9110, section 12.5.1) lets JSON through. Of several ranges that match,
// the most specific decides; none at all means anything.
func acceptsJSON(values []string) bool {
	best, accepted := 0, false
	for value := range strings.SplitSeq(strings.Join(values, ","), ",") {
		mediaRange, params, err := mime.ParseMediaType(value)
		if err != nil {
			continue
		}
		rank := map[string]int{"*/*": 1, "application/*": 2, "application/problem+json": 3, "application/json": 4}[mediaRange]
		if rank > best {
			q, err := strconv.ParseFloat(params["q"], 64)
			best, accepted = rank, params["q"] == "" || err == nil && q > 0
		}
	}
	return accepted || strings.TrimSpace(strings.Join(values, "")) == ""
}

var tooLargeDetail = "a body may have up to " + strconv.Itoa(maxBody) + " bytes"

// readBody returns the body of a request, or answers it and returns false.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		problemMediaType.write(w, "send the client as Content-Type: application/json")
		return nil, false
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		problemMediaType.write(w, "send the body without a Content-Encoding")
		return nil, false
	}
	if r.ContentLength > maxBody {
		problemTooLarge.write(w, tooLargeDetail)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case err == nil:
		return body, true
	case tooLarge:
		problemTooLarge.write(w, tooLargeDetail)
	case errors.Is(err, os.ErrDeadlineExceeded):
		problemTimeout.write(w, "the body did not arrive in time")
	default: // The caller has gone, or broke HTTP's framing.
		problemMalformed.write(w, "the body ended early")
	}
	return nil, false
}

const maxKey = 255

// idempotencyKey returns the key of a request, "" if it has none. The header's definition
// (draft-ietf-httpapi-idempotency-key-header) makes it a quoted string; most callers send it bare, which means the same.
func idempotencyKey(header http.Header) (string, error) {
	values := header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", errors.New("send one Idempotency-Key")
	}
	key := values[0]
	if strings.HasPrefix(key, `"`) {
		var ok bool
		if key, ok = unquote(key); !ok {
			return "", errors.New("the Idempotency-Key begins with a quote but is not a quoted string")
		}
	}
	switch {
	case key == "":
		return "", errors.New("the Idempotency-Key is empty")
	case len(key) > maxKey:
		return "", errors.New("an Idempotency-Key may have up to " + strconv.Itoa(maxKey) + " characters")
	case strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }):
		return "", errors.New("an Idempotency-Key has printable ASCII characters only")
	}
	return key, nil
}

// unquote reads a string of a structured field (RFC 9651, section 3.3.3).
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", false
	}
	inner := s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			return "", false
		case '\\':
			i++
			if i == len(inner) || inner[i] != '"' && inner[i] != '\\' {
				return "", false
			}
		}
		b.WriteByte(inner[i])
	}
	return b.String(), true
}
