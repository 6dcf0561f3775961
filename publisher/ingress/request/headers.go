// Package request reads requests: their headers, and bodies within limits of size and time.
package request

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The media types of bodies: one client, or one line for each client.
const (
	MediaTypeClient = "application/json"
	MediaTypeLines  = "application/x-ndjson"
)

// AcceptsJSON reports whether an Accept header (RFC 9110, section 12.5.1) allows JSON, or lines of JSON. Of several ranges that match,
// the most specific one decides. A request without the header accepts anything.
func AcceptsJSON(header http.Header) bool {
	values := header.Values("Accept")
	best, accepted := 0, false
	for value := range strings.SplitSeq(strings.Join(values, ","), ",") {
		mediaRange, params, err := mime.ParseMediaType(value)
		if err != nil {
			continue
		}
		rank := map[string]int{"*/*": 1, "application/*": 2, "application/problem+json": 3, MediaTypeLines: 3, MediaTypeClient: 4}[mediaRange]
		if rank > best {
			q, err := strconv.ParseFloat(params["q"], 64)
			best, accepted = rank, params["q"] == "" || err == nil && q > 0
		}
	}
	return accepted || strings.TrimSpace(strings.Join(values, "")) == ""
}

// maxWait is the maximum number of seconds that a request waits for an outcome.
const maxWait = 30

// Preference is the caller's choice of how to be answered (RFC 7240).
type Preference struct {
	Wait  time.Duration // 0 to answer at once
	Async bool
}

// Prefer returns the preferences of a request. It ignores unknown and invalid preferences, as RFC 7240 requires. Of several waits, the
// first one counts.
func Prefer(header http.Header) (p Preference) {
	for item := range strings.SplitSeq(strings.Join(header.Values("Prefer"), ","), ",") {
		name, value, _ := strings.Cut(item, "=")
		value, _, _ = strings.Cut(value, ";")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		name, _, _ = strings.Cut(name, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "respond-async":
			p.Async = true
		case "wait":
			seconds, err := strconv.ParseUint(value, 10, 16)
			if err == nil && p.Wait == 0 {
				p.Wait = time.Duration(min(seconds, maxWait)) * time.Second
			}
		}
	}
	return p
}

// SetHeaders sets the headers of a response that depends on the preference.
func (p Preference) SetHeaders(header http.Header) {
	header.Add("Vary", "Prefer")
	switch {
	case p.Wait > 0:
		header.Set("Preference-Applied", "wait="+strconv.Itoa(int(p.Wait/time.Second)))
	case p.Async:
		header.Set("Preference-Applied", "respond-async")
	}
}

const maxKey = 255

// Key returns the idempotency key of a request, or "" if it has none. The header is defined as a quoted string
// (draft-ietf-httpapi-idempotency-key-header). Most callers send it bare, which means the same.
func Key(header http.Header) (string, error) {
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
	return key, CheckKey(key)
}

// CheckKey returns an error if the text is not an idempotency key.
func CheckKey(key string) error {
	switch {
	case key == "":
		return errors.New("the Idempotency-Key is empty")
	case len(key) > maxKey:
		return errors.New("the Idempotency-Key is limited to " + strconv.Itoa(maxKey) + " characters")
	case strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }):
		return errors.New("the Idempotency-Key must consist of printable ASCII characters")
	}
	return nil
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
