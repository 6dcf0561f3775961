package consumer

import (
	"context"
	"time"
)

// PausedError means that an operator has paused the workers. The server delivers no commands until then.
type PausedError struct{ Until time.Time }

func (e *PausedError) Error() string {
	return "paused until " + e.Until.UTC().Format(time.RFC3339) + "; run clientele resume to end it sooner"
}

// Unpaused returns a *PausedError while the workers are paused. A server that does not answer is an error of Ready only.
func (w *Worker) Unpaused(ctx context.Context) error {
	consumer, err := lookUp(ctx, w.js)
	if err != nil {
		return nil //nolint:nilerr // as documented
	}
	if info := consumer.CachedInfo(); info.Paused && info.Config.PauseUntil != nil { // by the clock of the server
		return &PausedError{*info.Config.PauseUntil}
	}
	return nil
}
