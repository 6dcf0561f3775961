package ingress_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// earlierLog says that it has had each command for some time.
type earlierLog struct {
	ingress.Log

	had time.Duration
}

func (l earlierLog) Append(_ context.Context, c domain.CreateClient) (time.Time, error) {
	return c.AcceptedAt.Add(-l.had), nil
}

// Find is not given up after 250 ms, which a busy machine can need.
func (l earlierLog) Find(ctx context.Context, id uuid.UUID) (domain.LoggedCommand, error) {
	return l.Log.Find(context.WithoutCancel(ctx), id)
}

// A retry looks up the operation, so that a lost outcome is found, unless the first attempt was accepted just now. The clocks of two
// ingresses may differ.
func TestARetryLooksForALostOutcome(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for had, looks := range map[time.Duration]bool{
		0: false, 900 * time.Millisecond: false, 1100 * time.Millisecond: true, time.Hour: true, -time.Hour: true,
	} {
		counting := &countingStore{Store: h.store}
		handler := ingress.NewHandler(earlierLog{h.log, had}, counting, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()})
		a := serve(handler, "Idempotency-Key", "key")
		if reads := counting.reads.Load(); a.StatusCode != http.StatusAccepted || reads > 1 != looks {
			t.Errorf("accepted %s before: %s after %d reads of the store", had, a.Status, reads)
		}
	}
}
