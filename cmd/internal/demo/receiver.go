package demo

import (
	"io"
	"math/rand/v2"
	"net/http"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// unavailableShare is the share of deliveries that the receiver refuses for now. They are sent again.
const unavailableShare = 0.1

// NewReceiver returns a receiver of webhooks that verifies signatures with the secret (whsec_ and base64), and is sometimes unavailable.
func NewReceiver(secret string) (http.Handler, error) {
	verifier, err := webhooks.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		switch {
		case err != nil:
			http.Error(w, "cannot read the body", http.StatusBadRequest)
		case verifier.Verify(content, r.Header) != nil:
			http.Error(w, "wrong signature", http.StatusUnauthorized)
		case rand.Float64() < unavailableShare:
			http.Error(w, "unavailable for the demo", http.StatusServiceUnavailable)
		}
	}), nil
}
