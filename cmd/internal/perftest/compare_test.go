//go:build bench

package perftest

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"

	"clientele/cmd/internal/loadtest"
)

// TestCompare measures several builds of clientele, alternately, and compares each with the first. The environment variables are the
// paths of the programs, the set-ups, the numbers of connections, the flags for clientele bench, the number of rounds and the length of
// a measurement.
func TestCompare(t *testing.T) {
	programs := strings.Fields(os.Getenv("COMPARE_PROGRAMS"))
	if len(programs) < 2 {
		t.Fatal("COMPARE_PROGRAMS must be the paths of two or more builds of clientele")
	}
	rounds, err := strconv.Atoi(cmp.Or(os.Getenv("BENCH_ROUNDS"), "5"))
	if err != nil || rounds < 1 {
		t.Fatal("BENCH_ROUNDS must be the number of rounds")
	}
	flags := append(strings.Fields(os.Getenv("COMPARE_FLAGS")), "--duration", cmp.Or(os.Getenv("BENCH_SECONDS"), "6")+"s")
	starts := map[string]start{setupSeparate: startSeparate, setupUnstaged: startUnstaged, setupEmbedded: startEmbedded, setupReplicated: startReplicated}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	defer table.Flush()
	fmt.Fprintln(table, "set-up\tconnections\tprogram\tclients/s\t× first\tanswer p50\tp99\tevent p50\tp99, ms\tprocessor µs/client\t")
	for setup := range strings.FieldsSeq(cmp.Or(os.Getenv("COMPARE_SETUPS"), "separate embedded replicated")) {
		for connections := range strings.FieldsSeq(cmp.Or(os.Getenv("COMPARE_CONNECTIONS"), "16 256")) {
			n, err := strconv.Atoi(connections)
			if err != nil || starts[setup] == nil {
				t.Fatalf("unknown set-up %q, or not a number of connections: %q", setup, connections)
			}
			results := make([][]comparison, len(programs))
			for round := range rounds {
				for turn := range programs {
					i := (turn + round) % len(programs) // none is always the first
					t.Run(fmt.Sprintf("%s/%d/%d/%d", setup, n, round+1, i+1), func(t *testing.T) {
						r := starts[setup](t, programs[i], nil)
						results[i] = append(results[i], r.compare(t, n, flags))
						r.stop()
					})
				}
			}
			printComparison(table, setup, n, results)
			_ = table.Flush()
		}
	}
}

// comparison is the result of a measurement, and the processor time of each kind of process for a client.
type comparison struct {
	loadtest.Result

	processor map[string]float64 // microseconds
}

// compare measures a set-up.
func (r running) compare(t *testing.T, connections int, flags []string) comparison {
	before := r.processorTime(t)
	c := comparison{runBench(t, r.api, r.nats, connections, flags...), map[string]float64{}}
	for name, used := range r.processorTime(t) {
		c.processor[name] = float64((used - before[name]).Microseconds()) / float64(c.Completed)
	}
	c.processor["bench"] = c.ProcessorShare * c.Seconds * 1e6 * float64(runtime.NumCPU()) / float64(c.Completed)
	return c
}

func printComparison(table *tabwriter.Writer, setup string, connections int, results [][]comparison) {
	for i, of := range results {
		ratios := make([]float64, len(of))
		for round := range of {
			ratios[round] = of[round].CompletedRate / results[0][round].CompletedRate
		}
		slices.Sort(ratios)
		quantile := func(value func(comparison) float64) float64 { return median(of, value) }
		fmt.Fprintf(table, "%s\t%d\t%d\t%.0f\t%.2f (%.2f–%.2f)\t%.1f\t%.1f\t%.1f\t%.1f\t", setup, connections, i+1,
			quantile(func(c comparison) float64 { return c.CompletedRate }), ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1],
			quantile(func(c comparison) float64 { return c.Accept.P50 }), quantile(func(c comparison) float64 { return c.Accept.P99 }),
			quantile(func(c comparison) float64 { return c.Event.P50 }), quantile(func(c comparison) float64 { return c.Event.P99 }))
		for _, name := range slices.Sorted(maps.Keys(of[0].processor)) {
			fmt.Fprintf(table, "%s %.0f  ", name, quantile(func(c comparison) float64 { return c.processor[name] }))
		}
		fmt.Fprintln(table, "\t")
	}
}
