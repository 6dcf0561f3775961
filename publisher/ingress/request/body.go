package request

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"

	"clientele/publisher/ingress/problem"
)

// MaxBody is the maximum size of a client in bytes.
const MaxBody = 64 << 10

// TooLarge is the problem of a client that is larger than MaxBody.
var TooLarge = problem.TooLarge.With("the body is limited to " + strconv.Itoa(MaxBody) + " bytes")

// Body returns the body of a request with one client. If it cannot, it answers the request and returns false.
func Body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if !checkMediaType(w, r, MediaTypeClient) {
		return nil, false
	}
	if r.ContentLength > MaxBody {
		TooLarge.Write(w)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		unreadable(err).Write(w)
		return nil, false
	}
	return body, true
}

// checkMediaType reports whether the body is of this type and uncompressed. Otherwise it answers the request.
func checkMediaType(w http.ResponseWriter, r *http.Request, want string) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != want {
		problem.MediaType.Write(w, "send the body as Content-Type: "+want)
		return false
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		problem.MediaType.Write(w, "send the body uncompressed, without Content-Encoding")
		return false
	}
	return true
}

// unreadable returns the problem of a body that cannot be read.
func unreadable(err error) problem.Document {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge:
		return TooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.Timeout.With("the body did not arrive in time")
	default: // The caller has hung up, or the framing is not valid HTTP.
		return problem.Malformed.With("the body ended early")
	}
}
