package systemtest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/endpoint"
	"clientele/publisher/publishertest"
	"clientele/publisher/subscription"
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

// A webhook is removed during the attempt after which its event would be given up. No record of the event stays, also not for a new webhook
// of the same name.
func TestARemovedWebhookGivesUpNothing(t *testing.T) {
	t.Parallel()
	for name, addedAgain := range map[string]bool{"removed": false, "added again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			received, release := make(chan struct{}, 10), make(chan struct{})
			serve, r := receiving(t, "--give-up-after=1s")
			attempts := 0
			r.AnswersWith(func(*http.Request, string) int {
				if attempts++; attempts == 2 {
					received <- struct{}{}
					<-release
				}
				return http.StatusUnprocessableEntity
			})
			natsURL := serve.NATSURL()
			forward := forwarder(t, natsURL)
			testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
			<-received
			testcluster.Webhooks(t, natsURL, "rm", "crm", "--yes")
			if addedAgain {
				testcluster.Webhooks(t, natsURL, "add", "crm", r.URL)
			}
			close(release)
			forward.Stop() // it completes the attempt
			for u, err := range subscription.ListUndelivered(t.Context(), testcluster.JetStream(t, natsURL), "") {
				t.Errorf("%+v (%v) stays", u, err)
			}
			serve.Stop()
		})
	}
}
