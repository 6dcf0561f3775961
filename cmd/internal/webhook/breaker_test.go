package webhook_test

import (
	"errors"
	"net/http"
	"testing"

	"clientele/cmd/internal/webhook"
)

func TestBreaker(t *testing.T) {
	t.Parallel()
	down, refused := errors.New("connection refused"), error(&webhook.StatusError{Status: http.StatusUnprocessableEntity})
	for name, c := range map[string]struct {
		results []error
		open    bool
	}{
		"new":                                  {nil, false},
		"nine failures":                        {repeat(9, down), false},
		"ten failures":                         {repeat(10, down), true},
		"more failures":                        {repeat(30, down), true},
		"one success between":                  {append(append(repeat(9, down), nil), repeat(9, down)...), false},
		"a success after ten":                  {append(repeat(10, down), nil), false},
		"ten events with wrong content":        {repeat(10, refused), false},
		"an event with wrong content after":    {append(repeat(10, down), refused), false},
		"an unauthorised forwarder, ten times": {repeat(10, error(&webhook.StatusError{Status: http.StatusUnauthorized})), true},
	} {
		var b webhook.Breaker
		open := false
		for _, err := range c.results {
			open = b.Note(err)
		}
		if open != c.open || b.Open() != c.open {
			t.Errorf("%s: open %v and %v, want %v", name, open, b.Open(), c.open)
		}
	}
}

func repeat(n int, err error) (all []error) {
	for range n {
		all = append(all, err)
	}
	return all
}
