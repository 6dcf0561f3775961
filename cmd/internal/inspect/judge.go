package inspect

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"clientele/domain"
	"clientele/publisher/endpoint"
)

// The bounds above which something is a problem. Those of the commands and the streams are those of deploy/prometheus.
const (
	oldestCommand   = time.Minute
	largeBacklog    = 100_000
	fullLog         = 0.8
	fullStream      = 0.9
	largeRecords    = 1_000_000_000 // bytes of a stream without a limit
	laggingReplica  = 10_000        // operations
	oldestEvent     = time.Hour
	expiringEvents  = 0.8              // the share of their retention
	shortestSilence = 10 * time.Second // of a replica
	longFailure     = 10 * time.Minute // of a webhook
)

// judge adds the problems to a state, and its health.
func judge(s *Status) {
	s.Problems = slices.Concat(judgeDatabase(s.Database), judgeCommands(s.Commands), judgeProcesses(s), judgeStreams(s.Streams),
		judgeSubscribers(s), judgeWebhooks(s))
	slices.SortStableFunc(s.Problems, func(a, b Finding) int { return cmp.Compare(a.Result, b.Result) }) // fail is before warn
	s.Health = OK
	for _, p := range s.Problems {
		s.Health = s.Health.Worse(p.Result)
	}
	if s.Problems == nil {
		s.Problems = []Finding{}
	}
}

func judgeDatabase(d Database) []Finding {
	switch {
	case !d.Answers:
		return []Finding{{"database", Fail, d.Error, "Commands are accepted and wait. Start the database, or correct --database-url", SeeNotReady}}
	case d.Error != "":
		return []Finding{{"schema", Fail, d.Error, "Use a clientele and a schema that fit each other", SeeUpgrade}}
	}
	return nil
}

func judgeCommands(c Commands) (found []Finding) {
	oldest := seconds(c.OldestSeconds)
	switch {
	case c.Error != "":
		return []Finding{{"workers", Fail, c.Error, "Restore it, or run clientele migrate", SeeLoss}}
	case c.Paused != nil: // commands are meant to wait
		return []Finding{{"workers", Warn, pausedText(c), "Run clientele resume to end the pause now", SeePause}}
	case oldest > oldestCommand:
		found = append(found, Finding{
			"commands", Fail, fmt.Sprintf("the oldest command has waited for %s", oldest.Round(time.Second)),
			"Look at /readyz and the logs of the workers", SeeCommandsWait,
		})
	case c.NoWorker && c.Backlog > 0:
		found = append(found, Finding{"workers", Fail, "no worker fetches the commands that wait", "Start a worker", SeeNoWorker})
	case c.NoWorker:
		found = append(found, Finding{"workers", Warn, "no worker fetches commands", "Start a worker", SeeNoWorker})
	}
	if c.Backlog > largeBacklog {
		found = append(found, Finding{
			"commands", Warn, waitText(c.Backlog), "Start another worker, or check how fast the database is", SeeWorkersBehind,
		})
	}
	return found
}

// pausedText says until when the workers are paused, by whom and why.
func pausedText(c Commands) string {
	text := "paused until " + c.Paused.Until.Format(time.RFC3339)
	if c.Paused.Operator != "" {
		text += " by " + c.Paused.Operator
	}
	if c.Paused.Reason != "" {
		text += ": " + c.Paused.Reason
	}
	return text + "; " + waitText(c.Backlog)
}

func waitText(commands uint64) string {
	if commands == 1 {
		return "1 command waits"
	}
	return fmt.Sprintf("%d commands wait", commands)
}

func judgeStreams(all []Stream) (found []Finding) {
	for _, s := range all {
		if s.Error != "" {
			found = append(found, Finding{s.Name, Fail, s.Error, "Restore it, or run clientele migrate", SeeLoss})
			continue
		}
		found = append(append(found, judgeSize(s)...), judgeLeader(s)...)
	}
	return append(found, judgeServers(all)...)
}

// judgeSize compares a stream with its bound.
func judgeSize(s Stream) []Finding {
	used := fmt.Sprintf("%.0f %% of its limit is used", 100*s.Used())
	switch {
	case s.Name == domain.StreamCommands && s.Used() > fullLog:
		return []Finding{{s.Name, Fail, used, "When it is full, the API refuses commands. Find out why commands wait, or raise --log-max-bytes", SeeLogFillsUp}}
	case s.Name == domain.StreamEvents && s.Used() > fullStream:
		return []Finding{{s.Name, Fail, used, "When it is full, the oldest events are dropped. Raise --event-max-bytes, or shorten --event-retention", SeeEventsFull}}
	case s.Name != domain.StreamCommands && s.Used() > fullStream:
		return []Finding{{s.Name, Fail, used, "Raise the limit, or shorten the retention", SeeSizes}}
	case s.MaxBytes == 0 && s.Name != domain.StreamEvents && s.Bytes > largeRecords:
		return []Finding{{s.Name, Warn, fmt.Sprintf("it has %d MB", s.Bytes/1_000_000), "Settle rejections, or shorten --audit-retention", SeeStreamIsLarge}}
	}
	return nil
}

// judgeLeader finds a stream that cannot be used.
func judgeLeader(s Stream) []Finding {
	if s.Replicas > 1 && s.Leader == "" {
		return []Finding{{s.Name, Fail, "it has no leader", "Start the NATS servers that do not run", SeeReplicaIsMissing}}
	}
	return nil
}

// judgeServers finds the servers of which a replica is missing, once for all streams.
func judgeServers(all []Stream) (found []Finding) {
	missing := map[string][]Replica{} // by server
	for _, s := range all {
		for _, f := range s.Followers {
			if missingText(f) != "" {
				missing[f.Server] = append(missing[f.Server], f)
			}
		}
	}
	for _, server := range slices.Sorted(maps.Keys(missing)) {
		replicas, do := missing[server], "Start it"
		worst := slices.MinFunc(replicas, func(a, b Replica) int { return cmp.Compare(rank(a), rank(b)) })
		if worst.Current {
			do = "Stop no other NATS server until it has caught up"
		}
		text := fmt.Sprintf("%s; streams affected: %d", missingText(worst), len(replicas))
		found = append(found, Finding{"NATS server " + server, Warn, text, do, SeeReplicaIsMissing})
	}
	return found
}

// missingText returns why a replica is a problem, or "".
func missingText(r Replica) string {
	switch {
	case r.Offline:
		return "it is offline"
	case !r.Current && seconds(r.SeenSeconds) > shortestSilence:
		return fmt.Sprintf("it has been silent for %s", seconds(r.SeenSeconds).Round(time.Second))
	case !r.Current && r.SeenSeconds == 0 && r.Lag > 0: // the leader was elected after this one was lost
		return "no leader has seen it"
	case r.Lag > laggingReplica:
		return fmt.Sprintf("it is %d operations behind", r.Lag)
	}
	return ""
}

// rank orders replicas: those that a server says to be offline or that were seen first, those that are only behind last.
func rank(r Replica) int {
	switch {
	case r.Offline:
		return 0
	case !r.Current && r.SeenSeconds > 0:
		return 1
	case !r.Current:
		return 2
	}
	return 3
}

func judgeSubscribers(s *Status) (found []Finding) {
	retention := 0.0
	for _, stream := range s.Streams {
		if stream.Name == domain.StreamEvents {
			retention = stream.MaxAgeSeconds
		}
	}
	for _, sub := range s.Subscribers {
		age := seconds(sub.OldestSeconds).Round(time.Second)
		switch {
		case retention > 0 && sub.OldestSeconds > expiringEvents*retention:
			found = append(found, Finding{
				"subscriber " + sub.Name, Fail, fmt.Sprintf("its oldest event is %s old and will be dropped", age),
				"Start the subscriber, or raise --event-retention", SeeSubscribers,
			})
		case age > oldestEvent:
			found = append(found, Finding{
				"subscriber " + sub.Name, Warn, fmt.Sprintf("its oldest event has waited for %s", age), "Start the subscriber, or look at its log", SeeSubscribers,
			})
		}
	}
	return append(found, unread("subscribers", s.SubscribersError, s)...)
}

// unread reports that a list is incomplete, unless streams are a problem already.
func unread(name, problem string, s *Status) []Finding {
	if problem == "" || slices.ContainsFunc(s.Streams, func(stream Stream) bool { return stream.Error != "" }) {
		return nil
	}
	return []Finding{{name, Warn, "not everything could be read: " + problem, "Look again. If this stays, check the NATS servers", SeeServers}}
}

func judgeWebhooks(s *Status) (found []Finding) {
	if s.GivenUp > 0 {
		found = append(found, Finding{
			"webhooks", Warn, fmt.Sprintf("receivers have not accepted %d events", s.GivenUp), "Run clientele webhooks deliveries NAME --given-up", SeeGivenUp,
		})
	}
	for _, w := range s.Webhooks {
		name := "webhook " + w.Name
		failing := s.At.Sub(w.FailingSince).Round(time.Second)
		switch {
		case w.State == endpoint.Disabled:
			found = append(found, Finding{
				name, Fail, fmt.Sprintf("it is disabled, and %d events wait: %s", w.Waiting, w.LastError),
				"Correct the receiver, and run clientele webhooks resume " + w.Name, SeeWebhookDisabled,
			})
		case w.Lost:
			found = append(found, Finding{name, Fail, "its consumer is missing", "Run clientele webhooks resume " + w.Name, SeeWebhooks})
		case w.State == endpoint.Active && !w.FailingSince.IsZero() && failing > longFailure:
			found = append(found, Finding{
				name, Warn, fmt.Sprintf("it has failed for %s: %s", failing, w.LastError),
				"Correct the receiver. clientele webhooks deliveries " + w.Name + " --failed shows its responses", SeeWebhookFailing,
			})
		}
	}
	return append(found, unread("webhooks", s.WebhooksError, s)...)
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
