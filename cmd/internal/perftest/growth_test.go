//go:build bench

package perftest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"clientele/cmd/internal/loadtest"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store"
	"clientele/store/storetest"

	"github.com/google/uuid"
)

// growthConnections is the number of connections of each measurement.
const growthConnections = 256

// growth measures speed and memory with more of everything.
type growth struct {
	scale  float64       // of all sizes
	length time.Duration // of one measurement
	soak   time.Duration
	rate   float64 // of the soak in clients/s; 0 means half of the maximum
	table  *tabwriter.Writer
}

// TestGrowth prints the speed and the memory of Clientele with a long backlog, with many rows, under a steady load and over time. It has
// no limit for speed. It fails if a client is lost or duplicated.
func TestGrowth(t *testing.T) {
	number := func(name, otherwise string) float64 {
		n, err := strconv.ParseFloat(cmp.Or(os.Getenv(name), otherwise), 64)
		if err != nil || n < 0 {
			t.Fatal(name + " must be a number that is not negative")
		}
		return n
	}
	g := &growth{
		scale:  number("GROWTH_SCALE", "1"),
		length: time.Duration(number("BENCH_SECONDS", "6") * float64(time.Second)),
		soak:   time.Duration(number("SOAK_MINUTES", "30") * float64(time.Minute)),
		rate:   number("SOAK_RATE", "0"),
		table:  tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', tabwriter.AlignRight),
	}
	for _, part := range []struct {
		name    string
		measure func(*testing.T)
	}{{"Load", g.load}, {"Backlog", g.backlog}, {"Rows", g.rows}, {"Trim", g.trim}, {"Waiters", g.waiters}, {"Redo", g.redo}, {"Failover", g.failover}, {"Soak", g.steady}} {
		if t.Run(part.name, part.measure) {
			_ = g.table.Flush()
		}
	}
}

type namedSetup struct {
	name  string
	start start
}

// setups has a function that starts each set-up.
var setups = []namedSetup{{setupSeparate, startSeparate}, {setupEmbedded, startEmbedded}}

// load measures single requests on an idle service, and half of the maximum rate.
func (g *growth) load(t *testing.T) {
	fmt.Fprint(g.table, "\nload\tset-up\tclients/s\tanswer p50, ms\tp99\tanswer to event p50, ms\tp99\t\n")
	for _, setup := range setups {
		r := setup.start(t, testcluster.Program(t, "clientele"), nil)
		note := func(name string, b loadtest.Result) {
			fmt.Fprintf(g.table, "%s\t%s\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t\n",
				name, setup.name, b.CompletedRate, b.Accept.P50, b.Accept.P99, b.Event.P50, b.Event.P99)
		}
		length := "--duration=" + g.length.String()
		note("lone", runBench(t, r.api, r.nats, 1, "--rate=10", length))
		most := runBench(t, r.api, r.nats, growthConnections, length)
		note("all", most)
		note("half", runBench(t, r.api, r.nats, growthConnections, fmt.Sprintf("--rate=%.0f", most.CompletedRate/2), length))
		r.stop()
	}
}

// backlog measures serve with unprocessed commands on its log.
func (g *growth) backlog(t *testing.T) {
	fmt.Fprint(g.table, "\nbacklog\tready after, s\tdrained, clients/s\tmemory at most, MB\t\n")
	for _, size := range []float64{10_000, 100_000, 1_000_000} {
		n := int(size * g.scale)
		dir := t.TempDir()
		first := testcluster.Clientele(t, "serve", "--data-dir", dir)
		first.Ready()
		first.Stop()
		testcluster.Backlog(t, dir, n)
		began := time.Now()
		serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
		serve.Ready()
		ready := time.Since(began)
		js := testcluster.JetStream(t, serve.NATSURL())
		events := func() uint64 {
			stream, err := js.Stream(t.Context(), domain.StreamEvents)
			if err != nil {
				t.Fatal(err)
			}
			return stream.CachedInfo().State.Msgs
		}
		tick := time.NewTicker(20 * time.Millisecond) // requests use the processor of the service
		for deadline := time.Now().Add(30 * time.Minute); events() < uint64(n); <-tick.C {
			if time.Now().After(deadline) {
				t.Fatal("the backlog is not drained")
			}
		}
		tick.Stop()
		took := time.Since(began)
		serve.Stop()
		usage := serve.Cmd.ProcessState.SysUsage().(*syscall.Rusage)
		fmt.Fprintf(g.table, "%d\t%.1f\t%.0f\t%.0f\t\n", n, ready.Seconds(), float64(n)/took.Seconds(), float64(usage.Maxrss)/1024)
	}
}

// rows measures clients with random ids, like those with an Idempotency-Key, on a table with rows.
func (g *growth) rows(t *testing.T) {
	fmt.Fprint(g.table, "\nrows\tset-up\tclients/s\t\n")
	for _, size := range []float64{0, 1_000_000, 5_000_000} {
		for _, setup := range setups {
			r := setup.start(t, testcluster.Program(t, "clientele"), func(s store.Store) { fillRows(t, s, int(size*g.scale)) })
			b := runBench(t, r.api, r.nats, growthConnections, "--keys", "--duration="+g.length.String())
			fmt.Fprintf(g.table, "%.0f\t%s\t%.0f\t\n", size*g.scale, setup.name, b.CompletedRate)
			r.stop()
		}
	}
}

func fillRows(t *testing.T, s store.Store, n int) {
	client := benchCommand(t).Client(time.Now())
	batch := make([]domain.Client, min(n, 1000))
	for ; n > 0; n -= len(batch) {
		for i := range batch {
			batch[i] = client
			batch[i].ID = uuid.New()
		}
		if _, err := s.Create(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

// waiters starts a worker while many callers wait for their clients.
func (g *growth) waiters(t *testing.T) {
	fmt.Fprint(g.table, "\nwaiters\tin one ingress, MB\tanswered after the worker's start, s\t\n")
	n := int(10_000 * g.scale)
	server, database := testcluster.StartNATSServer(t), storetest.StartPostgres(t).URL()
	flags := []string{"--nats-url", server.URL, "--database-url", database}
	if status := testcluster.Clientele(t, "migrate", flags...).Wait(); status != 0 {
		t.Fatalf("migrate: exit status %d", status)
	}
	ca := testcluster.NewAuthority(t)
	certificate, key := ca.Issue("api")
	ingress := testcluster.Clientele(t, "ingress", append(flags, "--tls-cert", certificate, "--tls-key", key)...)
	ingress.Ready()
	client, api := ca.Client(), strings.Replace(ingress.API(), "http:", "https:", 1)
	client.Timeout = time.Minute
	answers := make(chan string, n)
	for range n {
		go func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api+"/api/v2/clients", strings.NewReader(testcluster.Jane))
			if err != nil {
				answers <- err.Error()
				return
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Prefer", "wait=30")
			response, err := client.Do(r)
			if err != nil {
				answers <- err.Error()
				return
			}
			_ = response.Body.Close()
			answers <- response.Status
		}()
	}
	js := testcluster.JetStream(t, server.URL)
	publishertest.Eventually(t, "all wait", func() bool {
		stream, err := js.Stream(t.Context(), domain.StreamCommands)
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Msgs == uint64(n)
	})
	memory, began := residentMB(t, ingress.PID()), time.Now()
	worker := testcluster.Clientele(t, "worker", flags...)
	for range n {
		if answer := <-answers; answer != "201 Created" {
			t.Fatal(answer)
		}
	}
	fmt.Fprintf(g.table, "%d\t%d\t%.1f\t\n", n, memory, time.Since(began).Seconds())
	worker.Stop()
	ingress.Stop()
}

// steady drives each set-up at a rate, with 2 % of the clients repeated, and prints the latencies of each minute and the memory after it.
func (g *growth) steady(t *testing.T) {
	for _, setup := range append(setups, namedSetup{setupReplicated, startReplicated}) {
		t.Run(setup.name, func(t *testing.T) {
			r := setup.start(t, testcluster.Program(t, "clientele"), nil)
			flags := []string{"--keys", "--repeat=2"}
			rate := g.rate
			if rate == 0 {
				rate = runBench(t, r.api, r.nats, growthConnections, append(flags, "--duration="+g.length.String())...).CompletedRate / 2
			}
			fmt.Fprintf(g.table, "\n%s, %.0f clients/s, after\tclients\tanswer p99, ms\tanswer to event p99, ms\tmemory, MB\t\n", setup.name, rate)
			minutes := max(1, int(g.soak.Minutes()))
			flags = append(flags, fmt.Sprintf("--rate=%.0f", rate), "--duration="+(g.soak/time.Duration(minutes)).String())
			began := time.Now()
			for range minutes {
				b := runBench(t, r.api, r.nats, growthConnections, flags...)
				fmt.Fprintf(g.table, "%s\t%d\t%.1f\t%.1f\t", time.Since(began).Round(time.Second), b.Completed, b.Accept.P99, b.Event.P99)
				for _, name := range slices.Sorted(maps.Keys(r.processes)) {
					fmt.Fprintf(g.table, "%s %d  ", name, residentMB(t, r.processes[name].PID()))
				}
				fmt.Fprintln(g.table, "\t")
			}
			r.stop()
		})
	}
}

// residentMB returns the resident memory of a process.
func residentMB(t *testing.T, pid int) int {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Error(err)
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Error(err)
	}
	return kilobytes / 1024
}
