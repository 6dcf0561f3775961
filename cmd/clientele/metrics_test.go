package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/VictoriaMetrics/metricsql"
	"go.yaml.in/yaml/v2"
)

// metric returns the value of a metric in what /metrics shows, -1 if it is not there.
func metric(t *testing.T, admin, name string) float64 {
	t.Helper()
	r := get(t, admin+"/metrics")
	if r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	match := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(r.body)
	if match == nil {
		return -1
	}
	value, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingress := s.clientele("ingress")
	for range 3 {
		accepted(t, ingress.api(), jane, "")
	}
	post(t, ingress.api(), "{}", "")
	hand(t, s.js, publishertest.Command(t, publishertest.NewID(t), "Smith"), []byte("garbage"))
	is := func(p *proc, want map[string]float64) {
		t.Helper()
		for name, value := range want {
			if got := metric(t, p.admin(), name); got != value {
				t.Errorf("%s is %v, want %v", name, got, value)
			}
		}
	}
	is(ingress, map[string]float64{
		`clientele_http_request_duration_seconds_count{code="202",method="post",route="/api/v2/clients"}`: 3,
		`clientele_http_request_duration_seconds_count{code="422",method="post",route="/api/v2/clients"}`: 1,
		`clientele_log_publish_batch_commands_sum`:                                                        3,
	})
	worker := s.clientele("worker")
	publishertest.Eventually(t, "everything is worked off", s.drained)
	publishertest.Eventually(t, "the log is seen to be done", func() bool { return metric(t, worker.admin(), "clientele_worker_oldest_command_age_seconds") == 0 })
	is(worker, map[string]float64{
		"clientele_events_published_total":                            3,
		`clientele_rejections_total{reason="undecodable"}`:            1,
		"clientele_worker_batch_commands_sum":                         4,
		"clientele_log_commands":                                      4,
		"clientele_worker_pending_commands":                           0,
		"clientele_worker_ack_pending_commands":                       0,
		"clientele_log_max_bytes":                                     2 << 30,
		"clientele_ready":                                             1,
		`clientele_stream_last_sequence{stream="CLIENT_COMMANDS"}`:    4,
		`clientele_stream_missing_messages{stream="CLIENT_COMMANDS"}`: 0,
	})
	if r := get(t, worker.admin()+"/debug/pprof/goroutine?debug=1"); !strings.Contains(r.body, "goroutine profile") {
		t.Errorf("%d %s", r.status, r.body)
	}
	s.nats.kill()
	is(worker, map[string]float64{"clientele_ready": 0})
	blocks, err := filepath.Glob(filepath.Join(s.nats.data, "jetstream/*/streams", domain.StreamCommands, "msgs/*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatal(err, blocks)
	}
	if age := metric(t, worker.admin(), "clientele_worker_oldest_command_age_seconds"); age != -1 {
		t.Errorf("a log that cannot be seen has a command %v s old", age)
	}
	// NATS goes on without what it cannot read, and does not say so.
	block, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	block[len(block)/2] ^= 0xff
	if err := os.WriteFile(blocks[0], block, 0o600); err != nil {
		t.Fatal(err)
	}
	s.nats.restart(t)
	publishertest.Eventually(t, "loss is seen", func() bool {
		last := metric(t, worker.admin(), `clientele_stream_last_sequence{stream="CLIENT_COMMANDS"}`)
		return last >= 0 && last < 4
	})
	worker.kill()
}

// The dashboard and the alerts ask, in PromQL, for metrics that the processes have.
func TestDashboardAndAlerts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingress, worker := s.clientele("ingress"), s.clientele("worker")
	accepted(t, ingress.api(), jane, "")
	shown := get(t, ingress.admin()+"/metrics").body + get(t, worker.admin()+"/metrics").body
	have := map[string]bool{"up": true} // Prometheus's own
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)`).FindAllStringSubmatch(shown, -1) {
		have[match[1]] = true
		if match[2] == "histogram" {
			have[match[1]+"_bucket"], have[match[1]+"_sum"], have[match[1]+"_count"] = true, true, true
		}
	}

	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	var rules struct {
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
	read("../../deploy/grafana/clientele.json", json.Unmarshal, &dashboard)
	read("../../deploy/prometheus/clientele.rules.yml", yaml.Unmarshal, &rules)
	var queries []string
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries = append(queries, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	for _, g := range rules.Groups {
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
