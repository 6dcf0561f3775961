package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/refusal"
	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// versions checks the versions of all NATS servers that are known.
func versions(_ context.Context, v *visit) (found []inspect.Finding) {
	all := map[string]string{v.status.NATS.Server: v.status.NATS.Version}
	for _, s := range v.servers {
		all[s.Name] = s.Version
	}
	names, distinct := make([]string, 0, len(all)), make([]string, 0, len(all))
	for name, version := range all {
		if refusal.TooOld(version) {
			found = append(found, fail(name+" has nats-server "+version, "Upgrade it to 2.15 or newer", inspect.SeeServers))
		}
		names, distinct = append(names, name), append(distinct, version)
	}
	slices.Sort(names)
	slices.Sort(distinct)
	if distinct = slices.Compact(distinct); len(distinct) > 1 && len(found) == 0 {
		found = append(found, warn("the servers have different versions: "+strings.Join(distinct, ", "), "Complete the upgrade", inspect.SeeUpgrade))
	}
	if unknown := v.unknown(); len(unknown) > 0 && !slices.Equal(unknown, names) {
		found = append(found, warn("the versions of these servers are not known: "+strings.Join(unknown, ", "), askServers, inspect.SeeServers))
	}
	if len(found) == 0 {
		return []inspect.Finding{ok("nats-server %s", strings.Join(distinct, ", "))}
	}
	return found
}

// askServers says how servers can be asked.
const askServers = "Pass --nats-monitor with the monitoring port of each server, or --nats-system-url with a user of the system account"

// syncs checks that every server syncs each write before it acknowledges it.
func syncs(_ context.Context, v *visit) (found []inspect.Finding) {
	if v.ServeDir != "" {
		return []inspect.Finding{ok("serve syncs every write")}
	}
	for _, s := range v.servers {
		if config := s.JetStream.Config; config != nil && !config.SyncAlways {
			found = append(found, fail(s.Name+" does not sync every write: a 202 does not guarantee that the command is on disk",
				"Set sync_interval: always in its configuration, and restart it", inspect.SeeServers))
		}
	}
	for _, err := range v.errs {
		found = append(found, warn(v.Explain(err).Error(), "Check the flags that name the server", seeStatus))
	}
	unknown := v.unknown()
	switch {
	case len(found) > 0:
		return found
	case len(v.servers) == 0:
		return []inspect.Finding{warn("it is not known from here whether the servers sync every write", askServers, inspect.SeeServers)}
	case len(unknown) > 0:
		return []inspect.Finding{warn("it is not known whether these servers sync every write: "+strings.Join(unknown, ", "), askServers, inspect.SeeServers)}
	}
	return []inspect.Finding{ok("%d of %d servers sync every write", len(v.servers), len(v.servers))}
}

// settings checks the settings of the streams on which the promises depend.
func settings(_ context.Context, v *visit) (found []inspect.Finding) {
	for _, name := range inspect.Streams {
		info := v.streams[name]
		if info == nil {
			continue // a problem of the status
		}
		c := info.Config
		log, audit := name == domain.StreamCommands, name == domain.StreamAudit
		for _, wrong := range []struct {
			is   bool
			what string
		}{
			{c.Storage != jetstream.FileStorage, "is not on disk"},
			{c.PersistMode != jetstream.DefaultPersistMode, "acknowledges before it writes"},
			{log && (c.MaxAge != 0 || c.Discard != jetstream.DiscardNew), "drops commands"},
			{log && (c.MaxMsgsPerSubject != 1 || !c.DiscardNewPerSubject), "accepts several commands for one id"},
			{audit && (!c.DenyDelete || !c.DenyPurge), "can be changed, so it proves nothing"},
			{!c.AllowAtomicPublish || !c.AllowDirect, "has no batches or no look-ups by followers"},
		} {
			if wrong.is {
				found = append(found, fail(name+" "+wrong.what, "Run clientele migrate, and find out who changed the stream", inspect.SeeLoss))
			}
		}
	}
	if len(found) == 0 {
		return []inspect.Finding{ok("as set by clientele migrate")}
	}
	return found
}

// replicas compares the replicas of the streams with the servers.
func replicas(_ context.Context, v *visit) []inspect.Finding {
	var counts []int
	for _, info := range v.streams {
		counts = append(counts, info.Config.Replicas)
	}
	slices.Sort(counts)
	counts = slices.Compact(counts)
	const do = "Run clientele migrate --replicas 3"
	switch {
	case len(counts) == 0:
		return []inspect.Finding{fail("there are no streams", "Run clientele migrate", inspect.SeeLoss)}
	case len(counts) > 1:
		return []inspect.Finding{warn(fmt.Sprintf("the streams have different numbers of replicas: %v", counts), do, inspect.SeeServers)}
	case counts[0] == 1 && v.status.NATS.Cluster != "":
		return []inspect.Finding{warn("the servers are a cluster, but only one keeps the streams: without its disk, accepted commands are lost", do, inspect.SeeServers)}
	case counts[0] == 1:
		return []inspect.Finding{ok("one server has the only copy of the streams")}
	case len(v.holders()) < counts[0]:
		return []inspect.Finding{fail(fmt.Sprintf("%d replicas on %d servers", counts[0], len(v.holders())), "Start the servers that do not run", inspect.SeeServers)}
	}
	return []inspect.Finding{ok("%d replicas on %s", counts[0], strings.Join(v.holders(), ", "))}
}

// staging checks where atomic batches are staged.
func staging(_ context.Context, v *visit) []inspect.Finding {
	if log := v.streams[domain.StreamCommands]; log != nil && log.Config.Replicas > 1 {
		return []inspect.Finding{ok("replicas stage batches in memory")}
	}
	if v.ServeDir == "" {
		return []inspect.Finding{warn("it is not known from here whether NATS stages batches in memory: on disk, each costs two more syncs",
			"Mount a tmpfs as docker-compose.yml does, or use three servers", seeCompose)}
	}
	logs, _ := filepath.Glob(filepath.Join(v.ServeDir, "nats", "jetstream", "*", "streams", domain.StreamCommands))
	if len(logs) == 0 {
		return []inspect.Finding{warn("the data directory cannot be read", "Run doctor as the user of serve", inspect.SeeServers)}
	}
	if to, err := os.Readlink(filepath.Join(logs[0], "batches")); err != nil || !strings.HasPrefix(to, "/dev/shm/") {
		return []inspect.Finding{warn("batches are staged on disk, which is as safe but slower", "Make /dev/shm writable for serve, and restart it", inspect.SeeServers)}
	}
	return []inspect.Finding{ok("in memory")}
}
