package systemtest

import (
	"bytes"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/endpoint"
	"clientele/publisher/publishertest"
)

// The network loses what is sent to NATS, or its responses. A webhook is not added, because what an earlier one of its name left cannot be
// looked for. A rotation succeeds when the network works again, so the operator learns the secret that is in use.
func TestTheNetworkLosesAWebhook(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*testcluster.Proxy){
		"requests": (*testcluster.Proxy).LoseRequests, "responses": (*testcluster.Proxy).LoseAnswers,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			natsURL := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--no-forward").NATSURL()
			between := testcluster.NewProxy(t, natsURL)
			direct, err := endpoint.Open(t.Context(), testcluster.JetStream(t, natsURL))
			if err != nil {
				t.Fatal(err)
			}
			b, err := endpoint.Open(t.Context(), testcluster.JetStream(t, between.Instead(natsURL)))
			if err != nil {
				t.Fatal(err)
			}
			broken := func(do func() error) error {
				t.Helper()
				lose(between)
				healed := make(chan struct{})
				time.AfterFunc(4*time.Second, func() { // before the client gives up, after 5 s
					between.Heal()
					close(healed)
				})
				defer func() { <-healed }()
				return do()
			}
			get := func() (e endpoint.Endpoint) {
				publishertest.Eventually(t, "the webhook exists", func() bool { e, err = direct.Get(t.Context(), "crm"); return err == nil })
				return e
			}
			first, second := []byte("0123456789abcdef-1"), []byte("0123456789abcdef-2")
			add := func() error {
				return b.Add(t.Context(), "crm", endpoint.Settings{URL: "https://crm.example.com"}, first)
			}
			if err := broken(add); err == nil {
				t.Error("added without a look at what is left")
			}
			if all, err := direct.List(t.Context()); err != nil || len(all) > 0 {
				t.Errorf("%+v, %v", all, err)
			}
			if err := add(); err != nil {
				t.Fatal(err)
			}
			e := get()
			if err := broken(func() error { return b.Rotate(t.Context(), e, second, time.Hour) }); err != nil {
				t.Error(err)
			}
			if keys, err := direct.Keys(get(), time.Now()); err != nil || len(keys) != 2 || !bytes.Equal(keys[0], second) || !bytes.Equal(keys[1], first) {
				t.Errorf("%q, %v", keys, err)
			}
		})
	}
}
