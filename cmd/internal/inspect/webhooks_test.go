package inspect_test

import (
	"context"
	"testing"

	"clientele/cmd/internal/inspect"
	"clientele/publisher/endpoint"
	"clientele/publisher/publishertest"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go/jetstream"
)

// A server that does not answer is no missing consumer, for which the advice is another one.
func TestAConsumerThatCannotBeReadIsNotLost(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	unanswered, cancel := context.WithCancel(t.Context())
	cancel()
	crm := endpoint.Endpoint{Name: "crm"}
	if w, err := inspect.WebhookOf(unanswered, js, crm); err == nil || w.Lost {
		t.Errorf("without an answer: %+v, %v", w, err)
	}
	if w, err := inspect.WebhookOf(t.Context(), js, crm); err != nil || !w.Lost {
		t.Errorf("without a consumer: %+v, %v", w, err)
	}
	if _, err := subscription.Create(t.Context(), js, subscription.Config{Name: "crm"}); err != nil {
		t.Fatal(err)
	}
	if w, err := inspect.WebhookOf(t.Context(), js, crm); err != nil || w.Lost {
		t.Errorf("with a consumer: %+v, %v", w, err)
	}
}
