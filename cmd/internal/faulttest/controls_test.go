//go:build faults

package faulttest

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// controls are builds that break a promise on purpose. Each names a violation that the suite must report, as a regular expression, and the
// faults that reveal it. The controls for fsync are in TestPowerLoss, because only a power loss reveals them.
var controls = []struct {
	name    string
	stage   string
	patches []patch
	faults  []string
	want    string
}{
	{
		"acknowledges first",
		"separate",
		[]patch{{"consumer/batch.go", "\tverdicts, err := p.judge(", "\tp.ack(msgs)\n\tverdicts, err := p.judge("}},
		[]string{"kill after-commit worker"},
		"has no event",
	},
	{
		"publishes no event for a replayed client",
		"separate",
		[]patch{
			{"consumer/decide.go", "return verdict{event: event}", "return verdict{event: event, replayed: result.Outcome == domain.Replayed}"},
			{"consumer/decide.go", "type verdict struct {", "type verdict struct {\n\treplayed bool"},
			{"consumer/batch.go", "\t\tevents = append(events, v.event)", "\t\tif v.replayed {\n\t\t\tcontinue\n\t\t}\n\t\tevents = append(events, v.event)"},
		},
		[]string{"kill after-commit worker"},
		"has no event",
	},
	{
		"compares no fingerprints",
		"separate",
		[]patch{
			{"publisher/ingress/create.go", "case exists && client.Fingerprint != command.Fingerprint:", "case false:"},
			{"publisher/log.go", "case logged.Fingerprint != command.Fingerprint:", "case false:"},
		},
		[]string{"clock step ingress"},
		"is another and nothing was rejected",
	},
	{
		"accepts before the log has the command",
		"separate",
		[]patch{{"publisher/log.go", "\tl.pool.add(r)\n\tselect {", "\tl.pool.add(r)\n\treturn nil\n\n\tselect {"}},
		[]string{"kill -9 ingress"},
		"was accepted, and client",
	},
	{
		"publishes events without clients",
		"separate",
		[]patch{{
			"consumer/batch.go", "\t\tevents = append(events, v.event)",
			"\t\tevents = append(events, v.event)\n\t\tv.event.Client.ID[0]++\n\t\tif event, err := domain.NewEvent(v.event.Client); err == nil {\n\t\t\tevents = append(events, event)\n\t\t}",
		}},
		[]string{"clock step worker"},
		"4: ",
	},
	{
		"acknowledges unseen commands",
		"separate",
		[]patch{{
			"consumer/worker.go", "\t\tmsgs = append(msgs, msg)",
			"\t\tif msg.Subject()[len(msg.Subject())-1] == '7' {\n\t\t\t_ = msg.Ack()\n\t\t\tcontinue\n\t\t}\n\t\tmsgs = append(msgs, msg)",
		}},
		[]string{"clock step worker"},
		"5: ",
	},
	{
		"gives up on the database",
		"separate",
		[]patch{{"consumer/retry.go", "\t\tbackoff.wait(ctx)", "\t\tbackoff.wait(ctx)\n\t\tselect {}"}},
		[]string{"stop postgres immediate"},
		"6: ",
	},
	{
		"logs names",
		"separate",
		[]patch{{"consumer/batch.go", "\t\tevents = append(events, v.event)", "\t\tevents = append(events, v.event)\n\t\tp.log.Info().Msg(v.event.Client.LastName)"}},
		[]string{"clock step worker"},
		"7: ",
	},
	{
		"stores nothing again",
		"asynchronous",
		[]patch{
			{"cmd/internal/app/worker.go", "\t\t\tRestore:     follower.Restore,\n", ""}, // restores most of them sooner, and sometimes all
			{"cmd/internal/app/worker.go", "\tp.Go(ctx, \"follower\", follower.Run)", "\t_ = follower"},
		},
		[]string{"kill postgres and promote its standby"},
		"10: ",
	},
	{
		"trusts a follower",
		"synchronous",
		[]patch{{"publisher/ingress/operation.go", "reads{a.log.FindLatest, a.log.RejectionLatest}", "reads{a.log.Find, a.log.Rejection}"}},
		[]string{"clock step worker"},
		"8: ",
	},
	{
		"keeps one replica",
		"synchronous",
		[]patch{{"publisher/streams/streams.go", "cmp.Or(stream.Replicas, current.Replicas)", "min(1, cmp.Or(stream.Replicas, current.Replicas))"}},
		[]string{"wipe the disk of the leader of the log"},
		"^(9: the log|11: the replicas|6: no recovery)", // which one depends on when the server is killed
	},
}

// TestControls checks that the suite detects each control. Most use separate processes, because acks of a killed worker survive there.
func TestControls(t *testing.T) {
	t.Parallel()
	chosen := chosenStages(t)
	for i, c := range controls {
		if !slices.Contains(chosen, c.stage) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			program := build(t, "clientele-control-"+strings.ReplaceAll(c.name, " ", "-"), c.patches...)
			stage := stages[c.stage]
			faults := slices.DeleteFunc(stage.faults(), func(f fault) bool { return !slices.Contains(c.faults, f.kind) })
			began := time.Now()
			r := runFaults(stage.start(t, program), c.name, uint64(i), 8*time.Second, faults)
			found := slices.IndexFunc(r.violations, func(v string) bool { return regexp.MustCompile(c.want).MatchString(v) })
			if found < 0 {
				t.Fatalf("the suite does not detect it; it found %q", r.violations)
			}
			t.Logf("detected after %.0f s, %d violations, such as %s", time.Since(began).Seconds(), len(r.violations), r.violations[found])
		})
	}
}
