package loadtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Result has the measurements of a load test. Times are in milliseconds unless the name says otherwise.
type Result struct {
	Seconds       float64        `json:"seconds"` // spent sending requests
	Accepted      int64          `json:"accepted"`
	Repeated      int64          `json:"repeated"` // accepted clients that repeat an earlier one
	AcceptedRate  float64        `json:"acceptedPerSecond"`
	Completed     int64          `json:"completed"`
	CompletedRate float64        `json:"completedPerSecond"` // until the last event
	Accept        Quantiles      `json:"acceptMilliseconds"`
	Event         Quantiles      `json:"acceptToEventMilliseconds"`
	Answers       map[string]int `json:"answers"`
	Lost          int            `json:"lost"`
	Duplicated    int            `json:"duplicated"`
	// ProcessorShare is the share of this machine's processors that the load test itself used, from 0 to 1.
	ProcessorShare float64 `json:"processorShare"`
}

// Quantiles of times, in milliseconds.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

func quantilesOf(h *hdrhistogram.Histogram) Quantiles {
	at := func(percent float64) float64 { return float64(h.ValueAtPercentile(percent)) / 1000 }
	return Quantiles{at(50), at(90), at(99), at(99.9), float64(h.Max()) / 1000}
}

// Print writes the result as a table, or as JSON.
func (r Result) Print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.MarshalWrite(w, r, json.Deterministic(true), jsontext.WithIndent("  "))
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t\tper second\t\n")
	fmt.Fprintf(t, "accepted\t%d\t%.0f\t\n", r.Accepted, r.AcceptedRate)
	if r.Repeated > 0 {
		fmt.Fprintf(t, "of these repeated\t%d\t\t\n", r.Repeated)
	}
	fmt.Fprintf(t, "completed\t%d\t%.0f\t\n", r.Completed, r.CompletedRate)
	fmt.Fprintf(t, "lost\t%d\t\t\n", r.Lost)
	fmt.Fprintf(t, "duplicated\t%d\t\t\n", r.Duplicated)
	for _, answer := range slices.Sorted(maps.Keys(r.Answers)) {
		fmt.Fprintf(t, "answered %s\t%d\t\t\n", answer, r.Answers[answer])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(t, "\nmilliseconds\tp50\tp90\tp99\tp99.9\tmax\t\n")
	row := func(name string, q Quantiles) {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", name, q.P50, q.P90, q.P99, q.P999, q.Max)
	}
	row("request to 202", r.Accept)
	row("202 to event", r.Event)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nThe benchmark itself used %.0f %% of this machine's processors.\n", 100*r.ProcessorShare)
	return err
}
