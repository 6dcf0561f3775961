//go:build faults

package faulttest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"clientele/cmd/internal/testcluster"
)

// A run of the suite starts a system and callers, and injects faults one after the other: each ends before the next begins. Then the
// backlog drains and everything is checked. The seed of the run determines the faults and their order.

// run is one run of the suite, and its report.
type run struct {
	name       string
	seed       uint64
	history    *history
	outcome    *outcome
	injected   map[string]int
	slowest    map[string]time.Duration // until a new client is accepted at every ingress and the backlog drains
	looks      int                      // at commands below the ack floor, during the run
	cluster    *cluster
	violations []string
}

// runFaults injects faults into the system for this time, or until it does not recover from one.
func runFaults(s *system, name string, seed uint64, d time.Duration, faults []fault) *run {
	r := &run{
		name: name, seed: seed, history: newHistory(seed), injected: map[string]int{}, slowest: map[string]time.Duration{},
	}
	if err := s.open(r.history); err != nil {
		r.violations = []string{err.Error()}
		return r
	}
	r.cluster = s.cluster
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	wait := r.history.callers(ctx, s.apis, s.callers)
	rng := rand.New(rand.NewPCG(seed, 1<<33))
	look := func() {
		looks, violations := s.checkFloor()
		r.looks += looks
		r.violations = append(r.violations, violations...)
	}
	for {
		if s.busy(ctx, r.history); ctx.Err() != nil && len(r.injected) > 0 {
			break
		}
		f := faults[rng.IntN(len(faults))]
		began := time.Now()
		kind := f.kind
		healed, reached := f.inject(s, rng)
		if !reached {
			kind += ", not reached"
		}
		r.injected[kind]++
		look()
		recovered := s.recovered(r.history)
		took := time.Since(healed)
		if !recovered || !s.replicated() {
			s.violations = append(s.violations, "6: no recovery from "+kind)
		}
		if len(s.violations) > 0 {
			cancel()
			wait()
			r.violations = append(r.violations, s.violations...)
			return r // the other checks need a system that works
		}
		r.slowest[kind] = max(r.slowest[kind], took)
		s.t.Logf("%s: %s: lasted %.1f s, recovered %.1f s later", name, kind, healed.Sub(began).Seconds(), took.Seconds())
		if r.looks == 0 { // what was acknowledged before a long fault is trimmed, and nothing was since
			testcluster.Within(10*time.Second, func() bool { look(); return r.looks > 0 })
		}
	}
	cancel()
	wait()
	if r.looks == 0 {
		r.violations = append(r.violations, "5: the commands below the ack floor were never checked")
	}
	r.history.settle(s.apis)
	var violations []string
	r.outcome, violations = s.check(r.history)
	r.violations = append(append(r.violations, violations...), s.checkOperations(r.history)...)
	return r
}

// busy waits until callers are accepted again and the journal has read their commands: a fault of an empty log would damage nothing that
// the checks know. It returns early when the context ends, because the callers do.
func (s *system) busy(ctx context.Context, h *history) {
	enough := h.count(accepted202) + s.callers
	var mark uint64
	testcluster.Within(time.Minute, func() bool {
		if ctx.Err() != nil {
			return true
		}
		if mark == 0 && h.count(accepted202) >= enough {
			if last, _, err := s.progress(); err == nil {
				mark = last
			}
		}
		return mark > 0 && s.journal.last.Load() >= mark
	})
}

// recovered waits until every ingress accepts a client and everything on the log is acknowledged. It reports whether that happens in
// time.
func (s *system) recovered(h *history) bool {
	for _, api := range s.apis {
		if !testcluster.Within(time.Minute, func() bool { return h.send(api, h.claim("", false)) == accepted202 }) {
			return false
		}
	}
	return s.drained()
}

// report is the table of one or several runs.
func report(runs ...*run) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	injected, slowest, answers := map[string]int{}, map[string]time.Duration{}, map[answer]int{}
	var claims, clients, events, repeated, rejections, looks, lookUps, readBack, lost, violations int
	var slowestRedo time.Duration
	for _, r := range runs {
		for kind, n := range r.injected {
			injected[kind] += n
			slowest[kind] = max(slowest[kind], r.slowest[kind])
		}
		for a, n := range r.history.answers {
			answers[a] += n
		}
		claims += len(r.history.claims)
		looks += r.looks
		lookUps += r.history.lookUps
		violations += len(r.violations)
		if o := r.outcome; o != nil {
			clients += len(o.rows)
			events += o.kept
			repeated += o.repeated
			rejections += len(o.rejections)
			readBack += o.readBack
		}
		if c := r.cluster; c != nil {
			lost += c.lost
			slowestRedo = max(slowestRedo, c.slowest)
		}
	}
	fmt.Fprintf(w, "\nfault\tinjected\tslowest recovery\n")
	for _, kind := range slices.Sorted(maps.Keys(injected)) {
		fmt.Fprintf(w, "%s\t%d\t%.1f s\n", kind, injected[kind], slowest[kind].Seconds())
	}
	fmt.Fprintf(w, "\nrequests, by answer\t\n")
	for _, a := range slices.Sorted(maps.Keys(answers)) {
		fmt.Fprintf(w, "%s\t%d\n", a, answers[a])
	}
	fmt.Fprintf(w, "\nclients asked for\t%d\nclients\t%d\nevents on the stream\t%d\nevents published again\t%d\nrejections\t%d\ncommands looked up below the ack floor\t%d\n",
		claims, clients, events, repeated, rejections, looks)
	fmt.Fprintf(w, "accepted operations looked up at the other ingress\t%d\naccepted commands read back in order\t%d\nrows lost by PostgreSQL, and restored\t%d\nslowest restoration\t%.1f s\nviolations\t%d\n",
		lookUps, readBack, lost, slowestRedo.Seconds(), violations)
	_ = w.Flush()
	return b.String()
}

// stages are the systems that a run can have, and their faults.
var stages = map[string]struct {
	start  func(t testing.TB, program string) *system
	faults func() []fault
}{
	"serve":        {func(t testing.TB, program string) *system { return newEmbedded(t, program, t.TempDir()) }, embeddedFaults},
	"separate":     {newSeparate, separateFaults},
	"synchronous":  {func(t testing.TB, program string) *system { return newCluster(t, program, true, 3) }, clusterFaults},
	"asynchronous": {func(t testing.TB, program string) *system { return newCluster(t, program, false, 3) }, clusterFaults},
}

// chosenStages are those that FAULTS_STAGES names. The last two require root on Linux, for network namespaces.
func chosenStages(t *testing.T) []string {
	t.Helper()
	chosen := strings.Fields(cmp.Or(os.Getenv("FAULTS_STAGES"), "serve separate synchronous asynchronous"))
	for _, stage := range chosen {
		if stages[stage].start == nil {
			t.Fatalf("FAULTS_STAGES: there is no stage %q", stage)
		}
	}
	return chosen
}

// TestFaults runs the suite FAULTS_RUNS times, for FAULTS_MINUTES in total. The first seed is FAULTS_SEED; runs alternate between the
// stages.
func TestFaults(t *testing.T) {
	minutes, err := strconv.ParseFloat(cmp.Or(os.Getenv("FAULTS_MINUTES"), "4"), 64)
	if err != nil || minutes <= 0 {
		t.Fatal("FAULTS_MINUTES must be a number of minutes")
	}
	n, err := strconv.Atoi(cmp.Or(os.Getenv("FAULTS_RUNS"), "4"))
	if err != nil || n < 1 {
		t.Fatal("FAULTS_RUNS must be a number of runs")
	}
	seed, chosen := firstSeed(t), chosenStages(t)
	d := time.Duration(minutes * float64(time.Minute) / float64(n))
	var runs []*run
	for i := range n {
		seed := seed + uint64(i)
		// The seed decides, so that FAULTS_SEED and FAULTS_STAGES repeat a run.
		name := chosen[seed%uint64(len(chosen))]
		t.Run(fmt.Sprintf("%s seed %d", name, seed), func(t *testing.T) {
			stage := stages[name]
			faults := slices.DeleteFunc(stage.faults(), func(f fault) bool { return !strings.Contains(f.kind, os.Getenv("FAULTS_KIND")) })
			if len(faults) == 0 {
				t.Fatalf("no kind of fault contains FAULTS_KIND, %q", os.Getenv("FAULTS_KIND"))
			}
			r := runFaults(stage.start(t, build(t, "clientele-faults")), name, seed, d, faults)
			runs = append(runs, r)
			t.Logf("%s, seed %d:%s", r.name, seed, report(r))
			r.fail(t)
		})
	}
	t.Logf("%d runs, seeds %d to %d, %s of faults:\n%s", n, seed, seed+uint64(n-1), d*time.Duration(n), report(runs...))
}

func firstSeed(t *testing.T) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("FAULTS_SEED"), strconv.FormatInt(time.Now().Unix(), 10)), 10, 64)
	if err != nil {
		t.Fatal("FAULTS_SEED must be a number")
	}
	return seed
}

// fail fails the test with the violations, a few of each invariant.
func (r *run) fail(t *testing.T) {
	const most = 5
	count := map[string]int{}
	for _, v := range r.violations {
		number, _, _ := strings.Cut(v, ":")
		if count[number]++; count[number] <= most {
			t.Error(v)
		}
	}
	for number, n := range count {
		if n > most {
			t.Errorf("%s: and %d more", number, n-most)
		}
	}
}
