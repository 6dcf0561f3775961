package systemtest

import (
	"net/http"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
)

// In an outage no event is given up, however long it fails, although processes are restarted and settings change: each time the failures
// in a row are counted from zero, and the attempts of an event are not.
func TestAnOutageGivesUpNothing(t *testing.T) {
	t.Parallel()
	serve, r := receiving(t, "--give-up-after=1s", "--in-flight=4")
	natsURL := serve.NATSURL()
	r.Answers(http.StatusServiceUnavailable)
	operations := testcluster.PostTwenty(t, serve.API())
	const opens = "only single events are tried"
	for range 2 {
		p := forwarder(t, natsURL)
		p.Says(opens)
		p.Stop()
	}
	p := forwarder(t, natsURL)
	p.Says(opens)
	for i, change := range [][]string{{"set", "--in-flight=3"}, {"rotate"}, {"pause"}, {"resume"}} {
		testcluster.Webhooks(t, natsURL, append([]string{change[0], "crm"}, change[1:]...)...)
		if change[0] != "pause" {
			publishertest.Eventually(t, "failures in a row after "+change[0], func() bool { return strings.Count(p.Output(), opens) > min(i+1, 3) })
		}
	}
	if out := testcluster.Webhooks(t, natsURL, "deliveries", "crm", "--given-up"); out != "" {
		t.Errorf("an outage gave up\n%s", out)
	}
	r.Answers(http.StatusOK)
	testcluster.Webhooks(t, natsURL, "redeliver", "crm", "--since=1h", "--yes") // their pauses have grown
	if !r.Has(operations...) {
		t.Error("an event is missing")
	}
	p.Stop()
	serve.Stop()
}

// An event that fails while others succeed is given up.
func TestAnEventThatFailsAloneIsGivenUp(t *testing.T) {
	t.Parallel()
	serve, r := receiving(t, "--give-up-after=1s")
	r.AnswersWith(func(_ *http.Request, body string) int {
		if strings.Contains(body, "Unwelcome") {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	p := forwarder(t, serve.NATSURL())
	failing := testcluster.Accepted(t, serve.API(), strings.Replace(testcluster.Jane, "Smith", "Unwelcome", 1), "")
	p.Says("cannot deliver an event")
	publishertest.Eventually(t, "a third attempt", func() bool { return r.Requests() > 2 })
	if out := testcluster.Webhooks(t, serve.NATSURL(), "deliveries", "crm", "--given-up"); out != "" {
		t.Errorf("an event was given up, although no other has succeeded\n%s", out)
	}
	traffic := testcluster.NewTraffic(t, serve.API())
	p.Says("gave up an event")
	traffic.Stop()
	if out := testcluster.Webhooks(t, serve.NATSURL(), "deliveries", "crm", "--given-up"); strings.Count(out, "\n") != 2 ||
		!strings.Contains(out, failing[strings.LastIndex(failing, "/")+1:]) {
		t.Errorf("%s", out)
	}
	p.Stop()
	serve.Stop()
}
