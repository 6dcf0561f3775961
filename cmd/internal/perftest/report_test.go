//go:build bench

package perftest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/loadtest"
	"clientele/cmd/internal/testcluster"

	"github.com/go-json-experiment/json"
)

// connectionCounts are the numbers of connections that the report measures with.
var connectionCounts = []int{16, 64, 256, 1024}

// The set-ups that the report compares, in the order of the report.
const (
	setupYardstick  = "yardstick"
	setupSeparate   = "separate"
	setupUnstaged   = "unstaged"
	setupEmbedded   = "embedded"
	setupReplicated = "replicated"
)

// benchReport collects the results of its rounds.
type benchReport struct {
	length time.Duration // of one measurement
	stages map[string][]cost
	runs   map[trial][]loadtest.Result
	kinds  map[string][]loadtest.Result
}

// kinds are the kinds of requests that the report compares with each other, with kindConnections, and their flags of clientele bench.
var kinds = []struct{ name, flags string }{
	{"without keys", ""},
	{"with keys", "--keys"},
	{"1 % repeated", "--keys --repeat=1"},
	{"5 % repeated", "--keys --repeat=5"},
	{"batches of 100", "--batch=100"},
	{"batches of 100, 5 % repeated", "--batch=100 --keys --repeat=5"},
}

const kindConnections = 256

// trial is an end-to-end measurement.
type trial struct {
	setup       string
	connections int
}

// TestReport measures each stage alone and then everything from end to end, and compares both with each other and with the yardstick. It
// has no limit for speed. It fails if a client is lost or duplicated.
//
// The rounds interleave the measurements, because the speed of a machine varies. The report has the medians.
func TestReport(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Fatal("the processor time of other processes is read from /proc, which only Linux has")
	}
	seconds, err := strconv.ParseFloat(cmp.Or(os.Getenv("BENCH_SECONDS"), "6"), 64)
	if err != nil || seconds <= 0 {
		t.Fatal("BENCH_SECONDS must be the length of a measurement in seconds")
	}
	rounds, err := strconv.Atoi(cmp.Or(os.Getenv("BENCH_ROUNDS"), "3"))
	if err != nil || rounds < 1 {
		t.Fatal("BENCH_ROUNDS must be the number of rounds")
	}
	r := &benchReport{
		length: time.Duration(seconds * float64(time.Second)),
		stages: map[string][]cost{},
		runs:   map[trial][]loadtest.Result{},
		kinds:  map[string][]loadtest.Result{},
	}
	for round := range rounds {
		// Each part starts new servers, which end before the next part.
		for _, part := range []struct {
			name    string
			measure func(*testing.T)
		}{
			{"Stages", r.measureStages},
			{setupYardstick, r.yardstick},
			{setupSeparate, r.separate},
			{setupEmbedded, r.embedded},
			{setupReplicated, r.replicated},
		} {
			if !t.Run(fmt.Sprintf("%d/%s", round+1, part.name), part.measure) {
				t.FailNow()
			}
		}
	}
	if err := r.print(os.Stdout, factsOf(t)); err != nil {
		t.Fatal(err)
	}
}

// separate is an ingress, a worker, nats-server and PostgreSQL, each a process.
func (r *benchReport) separate(t *testing.T) {
	h := startSeparate(t, testcluster.Program(t, "clientele"), nil)
	r.endToEnd(t, setupSeparate, h.api, h.nats)
	for _, kind := range kinds {
		flags := append(strings.Fields(kind.flags), "--duration", r.length.String())
		r.kinds[kind.name] = append(r.kinds[kind.name], runBench(t, h.api, h.nats, kindConnections, flags...))
	}
	h.stop()
}

// embedded is serve, with NATS and SQLite inside.
func (r *benchReport) embedded(t *testing.T) {
	h := startEmbedded(t, testcluster.Program(t, "clientele"), nil)
	r.endToEnd(t, setupEmbedded, h.api, h.nats)
	h.stop()
}

// replicated is separate with three NATS servers.
func (r *benchReport) replicated(t *testing.T) {
	h := startReplicated(t, testcluster.Program(t, "clientele"), nil)
	r.endToEnd(t, setupReplicated, h.api, h.nats)
	h.stop()
}

// endToEnd drives the API with clientele bench and each number of connections.
func (r *benchReport) endToEnd(t *testing.T, setup, api, natsURL string) {
	for _, connections := range connectionCounts {
		r.add(t, setup, connections, runBench(t, api, natsURL, connections, "--duration", r.length.String()))
	}
}

// runBench drives an API with clientele bench, and fails the test if a client is lost or duplicated.
func runBench(t *testing.T, api, natsURL string, connections int, flags ...string) loadtest.Result {
	bench := exec.CommandContext(t.Context(), testcluster.Program(t, "clientele"), append([]string{
		"bench", "--json", "--url", api,
		"--nats-url", natsURL, "--connections", strconv.Itoa(connections),
	}, flags...)...)
	bench.Stderr = os.Stderr // its progress
	out, err := bench.Output()
	if err != nil {
		t.Fatalf("bench: %v\n%s", err, out)
	}
	var result loadtest.Result
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatal(err)
	}
	if result.Lost != 0 || result.Duplicated != 0 || result.Completed < result.Accepted-result.Repeated {
		t.Errorf("%d connections: %+v", connections, result)
	}
	return result
}

func (r *benchReport) add(t *testing.T, setup string, connections int, result loadtest.Result) {
	if answered := len(result.Answers); answered != 1 {
		t.Logf("%s, %d connections: answers %v", setup, connections, result.Answers)
	}
	key := trial{setup, connections}
	r.runs[key] = append(r.runs[key], result)
}

// during calls f from several goroutines for the length of a measurement, and returns the number of calls.
func (r *benchReport) during(t *testing.T, callers int, f func() error) int {
	ctx, cancel := context.WithTimeout(t.Context(), r.length)
	defer cancel()
	counts := make(chan int)
	for range callers {
		go func() {
			n := 0
			defer func() { counts <- n }()
			for ; ctx.Err() == nil; n++ {
				if err := f(); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	n := 0
	for range callers {
		n += <-counts
	}
	return n
}
