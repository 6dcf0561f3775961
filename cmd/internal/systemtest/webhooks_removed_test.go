package systemtest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/endpoint"
	"clientele/publisher/publishertest"
)

// A webhook is removed during an attempt. When that ends, it leaves neither metrics nor deliveries.
func TestARemovedWebhookLeavesNothing(t *testing.T) {
	t.Parallel()
	received, release := make(chan struct{}, 10), make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		received <- struct{}{}
		<-release
	}))
	t.Cleanup(receiver.Close)
	serve, other := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir()), testcluster.NewReceiver(t)
	natsURL := serve.NATSURL()
	testcluster.Webhooks(t, natsURL, "add", "crm", receiver.URL)
	testcluster.Webhooks(t, natsURL, "add", "other", other.URL)
	testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	<-received
	testcluster.Webhooks(t, natsURL, "rm", "crm", "--yes")
	disabled := func() float64 {
		return testcluster.Metric(t, serve.Admin(), `clientele_webhook_disabled{webhook="crm"}`)
	}
	publishertest.Eventually(t, "the metrics are removed", func() bool { return disabled() == -1 })
	close(release)

	attempts := func(webhook string) float64 {
		return testcluster.Metric(t, serve.Admin(), `clientele_webhook_attempts_total{result="delivered",webhook="`+webhook+`"}`)
	}
	js := testcluster.JetStream(t, natsURL)
	recorded := func(webhook string) (n int) {
		for _, err := range endpoint.Deliveries(t.Context(), js, webhook, time.Time{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	publishertest.Eventually(t, "another webhook records a later delivery", func() bool { return recorded("other") == 2 })
	publishertest.Eventually(t, "the metrics stay removed", func() bool { return attempts("other") > 0 && attempts("crm") == -1 })
	if n := recorded("crm"); n > 0 {
		t.Errorf("%d deliveries are recorded after the webhook was removed", n)
	}
	serve.Stop()
}
