package console

import (
	"context"
	"errors"
	"net/http"
	"time"
)

const (
	// scanTimeout bounds the time in which all items of a kind are read.
	scanTimeout = 2 * time.Minute
	// eventTimeout bounds the time in which a browser must receive an event.
	eventTimeout = 10 * time.Second
)

// withTime returns the context of a request that may take longer than others. The caller cancels it.
func withTime(w http.ResponseWriter, r *http.Request, limit time.Duration) (context.Context, context.CancelFunc, error) {
	stream := http.NewResponseController(w)
	deadline := time.Now().Add(limit + eventTimeout)
	if err := errors.Join(stream.SetReadDeadline(deadline), stream.SetWriteDeadline(deadline)); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	return ctx, cancel, nil
}
