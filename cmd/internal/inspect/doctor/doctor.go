package doctor

import (
	"context"
	"strings"
	"time"

	"clientele/cmd/internal/inspect"
)

// Report is the result of Run.
type Report struct {
	At     time.Time         `json:"at"`
	Result inspect.Health    `json:"result"`
	Checks []inspect.Finding `json:"checks"`
}

// checks are all checks, in the order of the report, with what they need.
var checks = []struct {
	name           string
	nats, database bool
	run            func(context.Context, *visit) []inspect.Finding
}{
	{"NATS version", true, false, versions},
	{"NATS sync", true, false, syncs},
	{"NATS rights", true, false, rights},
	{"streams", true, false, settings},
	{"replicas", true, false, replicas},
	{"staging", true, false, staging},
	{"disk", true, false, disk},
	{"memory", true, false, memory},
	{"database", false, true, database},
	{"database rights", false, true, databaseRights},
	{"schema", false, true, schema},
	{"clocks", false, false, clocks},
	{"certificates", false, false, certificates},
	{"keys file", false, false, keys},
	{"synthetic client", false, false, dryRun},
	{"processes", true, false, processes},
	{"status", true, false, state},
}

// Run checks everything. A check that cannot be carried out is a warning that says so.
//
// It leaves nothing behind: messages about the synthetic client are refused by their streams. To measure synced writes, it writes a
// file in the data directory of serve, or else the position of a subscriber that does not exist, and removes it.
func Run(ctx context.Context, cfg Config) Report {
	v := newVisit(ctx, cfg)
	r := Report{At: time.Now().UTC(), Result: inspect.OK}
	add := func(name string, found ...inspect.Finding) {
		for _, f := range found {
			f.Name, f.Found = name, strings.Join(strings.Fields(f.Found), " ") // the error of a database has several lines
			r.Checks, r.Result = append(r.Checks, f), r.Result.Worse(f.Result)
		}
	}
	if v.Stopped {
		add("serve", fail("no clientele serve runs in "+v.ServeDir, "Start it, or pass the --data-dir of one that runs", seeStatus))
	}
	if v.looked != nil && !v.Stopped {
		add("NATS", fail(v.Explain(v.looked).Error(), "Start NATS, or correct the flags that name it", inspect.SeeServers))
	}
	if v.described != nil && !v.Stopped {
		add("database", fail(v.Explain(v.described).Error(), "Start the database, or correct the flags that name it", inspect.SeeServers))
	}
	for _, check := range checks {
		if (!check.nats || v.looked == nil) && (!check.database || v.described == nil) {
			add(check.name, check.run(ctx, v)...)
		}
	}
	return r
}

// state repeats the problems of the status, except those of the database, which has checks of its own.
func state(_ context.Context, v *visit) (found []inspect.Finding) {
	for _, p := range v.status.Problems {
		if p.Name != "database" && p.Name != "schema" {
			p.Found = p.Name + ": " + p.Found
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return []inspect.Finding{ok("no command, stream or subscriber waits")}
	}
	return found
}
