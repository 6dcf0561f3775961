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
	fmt.Fprintln(t, "each stage by itself\tclients/s\tprocessor µs/client\t")
	for _, stage := range allStages {
		fmt.Fprintf(t, "%s\t%.0f\t%.1f\t\n", stage, median(r.stages[stage], func(c cost) float64 { return c.rate }), r.processor(stage))
	}
	for _, setup := range []string{setupSeparate, setupEmbedded} {
		limit := r.limit(setup)
		fmt.Fprintf(t, "limit of %s\t%.0f\t%.1f\t\n", setup, limit, float64(runtime.NumCPU())*1e6/limit)
	}
	fmt.Fprint(t, "\n\t\tclients/s\t\t\t\tanswer, ms\t\tanswer to event, ms\t\t\n")
	fmt.Fprint(t, "connections\tset-up\tanswered\tthrough\t× yardstick\t% of limit\tp50\tp99\tp50\tp99\t\n")
	for _, connections := range crowds {
		yardstick := median(r.runs[trial{setupYardstick, connections}], through)
		for _, setup := range []string{setupYardstick, setupSeparate, setupEmbedded} {
			results := r.runs[trial{setup, connections}]
			of := func(value func(loadtest.Result) float64) float64 { return median(results, value) }
			fmt.Fprintf(t, "%d\t%s\t%.0f\t%.0f\t%.2f\t", connections, setup,
				of(func(b loadtest.Result) float64 { return b.AcceptedRate }), of(through), of(through)/yardstick)
			if setup != setupYardstick {
				fmt.Fprintf(t, "%.0f", 100*of(through)/r.limit(setup))
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
	return t.Flush()
}

// through is how many clients a second have their event, or from the yardstick their answer.
func through(b loadtest.Result) float64 { return b.CompletedRate }

// processor is the processor time that a client takes in a stage, in microseconds.
func (r *benchReport) processor(stage string) float64 {
	return median(r.stages[stage], func(c cost) float64 { return float64(c.processor) / float64(time.Microsecond) })
}

// limit is how many clients a second would go through if the processors did nothing in vain and waited for nothing.
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
