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

	"clientele/publisher/ingress/problem"
)

// methods are the handlers of one path. HEAD is handled like GET, and any other method is answered with 405 and Allow. A caller
// that does not accept JSON receives 406.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http omits the body
	}
	handler, ok := m[method]
	if !ok {
		allow := slices.Sorted(maps.Keys(m))
		if _, ok := m[http.MethodGet]; ok {
			allow = append(allow, http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		problem.Method.Write(w, "this path supports "+strings.Join(allow, ", "))
		return
	}
	if !acceptsJSON(r.Header.Values("Accept")) {
		problem.Accept.Write(w, "responses are application/json or application/problem+json")
		return
	}
	handler(w, r)
}

// acceptsJSON reports whether an Accept header (RFC 9110, section 12.5.1) allows JSON. Of several ranges that match, the most
// specific one decides. A request without the header accepts anything.
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

var tooLargeDetail = "the body is limited to " + strconv.Itoa(maxBody) + " bytes"

// readBody returns the body of a request. If it cannot, it answers the request and returns false.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		problem.MediaType.Write(w, "send the client as Content-Type: application/json")
		return nil, false
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		problem.MediaType.Write(w, "send the body uncompressed, without Content-Encoding")
		return nil, false
	}
	if r.ContentLength > maxBody {
		problem.TooLarge.Write(w, tooLargeDetail)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case err == nil:
		return body, true
	case tooLarge:
		problem.TooLarge.Write(w, tooLargeDetail)
	case errors.Is(err, os.ErrDeadlineExceeded):
		problem.Timeout.Write(w, "the body did not arrive in time")
	default: // The caller has hung up, or the framing is not valid HTTP.
		problem.Malformed.Write(w, "the body ended early")
	}
	return nil, false
}

const maxKey = 255

// idempotencyKey returns the key of a request, or "" if it has none. The header is defined as a quoted string
// (draft-ietf-httpapi-idempotency-key-header). Most callers send it bare, which means the same.
func idempotencyKey(header http.Header) (string, error) {
	values := header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", errors.New("send only one Idempotency-Key")
	}
	key := values[0]
	if strings.HasPrefix(key, `"`) {
		var ok bool
		if key, ok = unquote(key); !ok {
			return "", errors.New("the Idempotency-Key starts with a quote but is not a quoted string")
		}
	}
	switch {
	case key == "":
		return "", errors.New("the Idempotency-Key is empty")
	case len(key) > maxKey:
		return "", errors.New("the Idempotency-Key is limited to " + strconv.Itoa(maxKey) + " characters")
	case strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }):
		return "", errors.New("the Idempotency-Key must consist of printable ASCII characters")
	}
	return key, nil
}

// unquote decodes a string of a structured field (RFC 9651, section 3.3.3) and reports whether it is valid.
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
