//go:build bench

package perftest

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"clientele/cmd/internal/loadtest"
)

func (r *benchReport) print(w io.Writer, facts string) error {
	fmt.Fprintf(w, "\n%s\nmedians of %d, each measured for %s\n\n", facts, len(r.stages[stageHTTP]), r.length)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "each stage alone\tclients/s\tprocessor µs/client\t")
	for _, stage := range allStages {
		fmt.Fprintf(t, "%s\t%.0f\t%.1f\t\n", stage, median(r.stages[stage], func(c cost) float64 { return c.rate }), r.processor(stage))
	}
	for _, setup := range []string{setupSeparate, setupEmbedded} {
		limit := r.limit(setup)
		fmt.Fprintf(t, "limit of %s\t%.0f\t%.1f\t\n", setup, limit, float64(runtime.NumCPU())*1e6/limit)
	}
	fmt.Fprint(t, "\n\t\tclients/s\t\t\t\tanswer, ms\t\tanswer to event, ms\t\t\n")
	fmt.Fprint(t, "connections\tset-up\tanswered\tcomplete\t× yardstick\t% of limit\tp50\tp99\tp50\tp99\t\n")
	for _, connections := range connectionCounts {
		yardstick := median(r.runs[trial{setupYardstick, connections}], complete)
		for _, setup := range []string{setupYardstick, setupSeparate, setupEmbedded, setupReplicated} {
			results := r.runs[trial{setup, connections}]
			of := func(value func(loadtest.Result) float64) float64 { return median(results, value) }
			fmt.Fprintf(t, "%d\t%s\t%.0f\t%.0f\t%.2f\t", connections, setup,
				of(func(b loadtest.Result) float64 { return b.AcceptedRate }), of(complete), of(complete)/yardstick)
			if stagesOf[setup] != nil {
				fmt.Fprintf(t, "%.0f", 100*of(complete)/r.limit(setup))
			}
			fmt.Fprintf(t, "\t%.1f\t%.1f\t",
				of(func(b loadtest.Result) float64 { return b.Accept.P50 }), of(func(b loadtest.Result) float64 { return b.Accept.P99 }))
			if setup != setupYardstick {
				fmt.Fprintf(t, "%.1f\t%.1f\t",
					of(func(b loadtest.Result) float64 { return b.Event.P50 }), of(func(b loadtest.Result) float64 { return b.Event.P99 }))
			}
			fmt.Fprintln(t)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(t, "\n%s, %d connections\tclients/s\t× first\tanswer p50, ms\tp99\t\n", setupSeparate, kindConnections)
	first := median(r.kinds[kinds[0].name], complete)
	for _, kind := range kinds {
		of := func(value func(loadtest.Result) float64) float64 { return median(r.kinds[kind.name], value) }
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.1f\t%.1f\t\n", kind.name, of(complete), of(complete)/first,
			of(func(b loadtest.Result) float64 { return b.Accept.P50 }), of(func(b loadtest.Result) float64 { return b.Accept.P99 }))
	}
	return t.Flush()
}

// complete returns the clients per second that have their event, or their answer from the yardstick.
func complete(b loadtest.Result) float64 { return b.CompletedRate }

// processor returns the processor time of a client in a stage, in microseconds.
func (r *benchReport) processor(stage string) float64 {
	return median(r.stages[stage], func(c cost) float64 { return float64(c.processor) / float64(time.Microsecond) })
}

// limit returns the clients per second that the processors could complete if they never waited and wasted nothing.
func (r *benchReport) limit(setup string) float64 {
	sum := 0.0
	for _, stage := range stagesOf[setup] {
		sum += r.processor(stage)
	}
	return float64(runtime.NumCPU()) * 1e6 / sum
}

func median[T any](all []T, value func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, v := range all {
		values[i] = value(v)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
