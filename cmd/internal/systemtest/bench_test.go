package systemtest

import (
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/loadtest"
	"clientele/cmd/internal/testcluster"

	"github.com/go-json-experiment/json"
)

func TestBench(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	api, natsURL := serve.API(), serve.NATSURL()
	for _, c := range []struct {
		name string
		args []string
		most float64 // accepted per second; 0 for no limit
	}{
		{"as fast as it goes", []string{"--count=300"}, 0},
		{"at a rate, with keys", []string{"--count=100", "--rate=100", "--keys"}, 110},
		{"in batches", []string{"--count=1990", "--batch=100", "--connections=4"}, 0},
		{"in batches at a rate, a fifth repeated", []string{"--count=100", "--batch=10", "--rate=100", "--keys", "--repeat=20"}, 120},
		{"singly, half repeated", []string{"--count=200", "--connections=1", "--keys", "--repeat=50"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := testcluster.RunLine(t, append([]string{"bench", "--url", api, "--nats-url", natsURL, "--json"}, c.args...)...)
			var r loadtest.Result
			if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != cli.ExitOK {
				t.Fatalf("%d: %v: %s%s", status, err, stdout, stderr)
			}
			if n := r.Accepted; n < 100 || r.Completed != n-r.Repeated || r.Answers["202"] != int(n) || r.Lost != 0 || r.Duplicated != 0 {
				t.Errorf("%+v", r)
			}
			if repeated := strings.Contains(c.name, "repeated"); repeated && r.Repeated < r.Accepted/5 || !repeated && r.Repeated > 0 {
				t.Errorf("%d of %d clients are repeated", r.Repeated, r.Accepted)
			}
			if c.most > 0 && r.AcceptedRate > c.most {
				t.Errorf("%.0f accepted per second, want at most %.0f", r.AcceptedRate, c.most)
			}
			if r.Accept.P50 <= 0 || r.Accept.Max < r.Accept.P99 || r.ProcessorShare <= 0 || r.ProcessorShare > 1 {
				t.Errorf("%+v", r)
			}
		})
	}
	status, stdout, _ := testcluster.RunLine(t, "bench", "--url", api, "--nats-url", natsURL, "--count=10", "--connections=1")
	if status != cli.ExitOK || !strings.Contains(stdout, "completed") || !strings.Contains(stdout, "202 to event") {
		t.Errorf("%d: %s", status, stdout)
	}
	if status, stdout, _ := testcluster.RunLine(t, "bench", "--url", api+"/nowhere", "--nats-url", natsURL, "--count=10", "--json"); status != cli.ExitError || !strings.Contains(stdout, `"404": 10`) {
		t.Errorf("%d: %s", status, stdout)
	}
}
