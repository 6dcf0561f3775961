package systemtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/VictoriaMetrics/metricsql"
	"go.yaml.in/yaml/v2"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingress := s.Clientele("ingress")
	for range 3 {
		testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
	}
	testcluster.Post(t, ingress.API(), "{}", "")
	hand(t, s.JetStream, publishertest.Command(t, publishertest.NewID(t), "Smith"), []byte("garbage"))
	is := func(p *testcluster.Process, want map[string]float64) {
		t.Helper()
		for name, value := range want {
			if got := testcluster.Metric(t, p.Admin(), name); got != value {
				t.Errorf("%s is %v, want %v", name, got, value)
			}
		}
	}
	is(ingress, map[string]float64{
		`clientele_http_request_duration_seconds_count{code="202",method="post",route="/api/v2/clients"}`: 3,
		`clientele_http_request_duration_seconds_count{code="422",method="post",route="/api/v2/clients"}`: 1,
		`clientele_log_publish_batch_commands_sum`:                                                        3,
	})
	// No worker lives. The oldest command is as old as the ingress can know.
	is(ingress, map[string]float64{
		"clientele_worker_pending_commands": 4, "clientele_worker_ack_pending_commands": 0, "clientele_log_commands": 4,
	})
	publishertest.Eventually(t, "the ingress reports the age of the oldest command", func() bool {
		return testcluster.Metric(t, ingress.Admin(), "clientele_worker_oldest_command_age_seconds") > 0.1
	})
	worker := s.Clientele("worker")
	publishertest.Eventually(t, "every command is processed", s.Drained)
	is(ingress, map[string]float64{"clientele_worker_oldest_command_age_seconds": 0, "clientele_worker_pending_commands": 0})
	publishertest.Eventually(t, "the metrics report an empty backlog", func() bool {
		return testcluster.Metric(t, worker.Admin(), "clientele_worker_oldest_command_age_seconds") == 0
	})
	is(worker, map[string]float64{
		"clientele_events_published_total":                            3,
		`clientele_rejections_total{reason="undecodable"}`:            1,
		"clientele_worker_batch_commands_sum":                         4,
		"clientele_log_commands":                                      4,
		"clientele_worker_pending_commands":                           0,
		"clientele_worker_ack_pending_commands":                       0,
		"clientele_log_max_bytes":                                     2 << 30,
		"clientele_ready":                                             1,
		`clientele_stream_max_bytes{stream="CLIENT_COMMANDS"}`:        2 << 30,
		`clientele_stream_max_bytes{stream="CLIENT_EVENTS"}`:          -1, // absent
		`clientele_stream_last_sequence{stream="CLIENT_COMMANDS"}`:    4,
		`clientele_stream_missing_messages{stream="CLIENT_COMMANDS"}`: 0,
	})
	for _, name := range []string{domain.StreamCommands, domain.StreamEvents, domain.StreamRejections, domain.StreamAudit} {
		stream, err := s.JetStream.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		is(worker, map[string]float64{`clientele_stream_bytes{stream="` + name + `"}`: float64(stream.CachedInfo().State.Bytes)})
	}
	s.NATS.Kill()
	is(worker, map[string]float64{"clientele_ready": 0})
	blocks, err := filepath.Glob(filepath.Join(s.NATS.Data, "jetstream/*/streams", domain.StreamCommands, "msgs/*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatal(err, blocks)
	}
	if age := testcluster.Metric(t, worker.Admin(), "clientele_worker_oldest_command_age_seconds"); age != -1 {
		t.Errorf("the log is unavailable, and its oldest command is %v s old", age)
	}
	// NATS continues without messages that it cannot read, and does not report them.
	block, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	block[len(block)/2] ^= 0xff
	if err := os.WriteFile(blocks[0], block, 0o600); err != nil {
		t.Fatal(err)
	}
	s.NATS.Restart(t)
	publishertest.Eventually(t, "the loss is reported", func() bool {
		last := testcluster.Metric(t, worker.Admin(), `clientele_stream_last_sequence{stream="CLIENT_COMMANDS"}`)
		return last >= 0 && last < 4
	})
	worker.Kill()
}

// The queries of the dashboard and the alerts name metrics that exist.
func TestDashboardAndAlerts(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
	keys := filepath.Join(t.TempDir(), "keys")
	testcluster.NewKey(t, keys, "crm", "clients:read")
	keyed := testcluster.Clientele(t, "ingress", append([]string{"--keys-file", keys}, s.Flags...)...)
	keyed.Ready()
	testcluster.Webhooks(t, s.NATS.URL, "add", "crm", "http://127.0.0.1:1", "--since=1h")
	forward := testcluster.Clientele(t, "forward", "--nats-url", s.NATS.URL)
	publishertest.Eventually(t, "an attempt", func() bool {
		return testcluster.Metric(t, forward.Admin(), `clientele_webhook_attempts_total{result="failed",webhook="crm"}`) > 0
	})
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	serve.Ready()
	shown := testcluster.Get(t, forward.Admin()+"/metrics").Body + testcluster.Get(t, ingress.Admin()+"/metrics").Body + testcluster.Get(t, worker.Admin()+"/metrics").Body +
		testcluster.Get(t, keyed.Admin()+"/metrics").Body + testcluster.Get(t, serve.Admin()+"/metrics").Body
	have := map[string]bool{"up": true} // from Prometheus
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)`).FindAllStringSubmatch(shown, -1) {
		have[match[1]] = true
		if match[2] == "histogram" {
			have[match[1]+"_bucket"], have[match[1]+"_sum"], have[match[1]+"_count"] = true, true, true
		}
	}

	// The exporter of NATS names metrics by the members of /varz.
	var varz map[string]any
	monitor := "http://" + s.NATS.Says(`Starting http monitor on (\S+)`)
	if err := json.Unmarshal([]byte(testcluster.Get(t, monitor+"/varz").Body), &varz); err != nil {
		t.Fatal(err)
	}
	addNumbers(have, "nats_varz", varz)

	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	type rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	read := func(path string, unmarshal func([]byte, any) error, v any) {
		t.Helper()
		file, err := os.ReadFile(path)
		if err == nil {
			err = unmarshal(file, v)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	read("../../../deploy/grafana/clientele.json", json.Unmarshal, &dashboard)
	var ours, nats rules
	read("../../../deploy/prometheus/clientele.rules.yml", yaml.Unmarshal, &ours)
	read("../../../deploy/prometheus/nats.rules.yml", yaml.Unmarshal, &nats)
	var queries []string
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries = append(queries, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	for _, g := range append(ours.Groups, nats.Groups...) {
		for _, r := range g.Rules {
			queries = append(queries, r.Expr)
			if r.Alert == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%+v", r)
			}
		}
	}
	if len(queries) < 20 {
		t.Errorf("%d queries", len(queries))
	}
	for _, query := range queries {
		parsed, err := metricsql.Parse(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		metricsql.VisitAll(parsed, func(e metricsql.Expr) {
			selector, ok := e.(*metricsql.MetricExpr)
			if !ok {
				return
			}
			for _, filters := range selector.LabelFilterss {
				for _, f := range filters {
					if f.Label == "__name__" && !have[f.Value] {
						t.Errorf("%s: there is no metric %s", query, f.Value)
					}
				}
			}
		})
	}
}

// addNumbers adds the name of each number in the object, with the names of the objects around it.
func addNumbers(names map[string]bool, prefix string, object map[string]any) {
	for name, value := range object {
		switch value := value.(type) {
		case float64:
			names[prefix+"_"+name] = true
		case map[string]any:
			addNumbers(names, prefix+"_"+name, value)
		}
	}
}
