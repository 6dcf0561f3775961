package inspect_test

import (
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/presence"
	"clientele/domain"
	"clientele/publisher/endpoint"
	"clientele/publisher/workers"
)

// healthy returns a state without problems.
func healthy() inspect.Status {
	s := inspect.Status{Database: inspect.Database{Answers: true, Schema: 6, Program: 6}}
	for _, name := range inspect.Streams {
		s.Streams = append(s.Streams, inspect.Stream{
			Name: name, Replicas: 3, Leader: "nats-1",
			Followers: []inspect.Replica{{Server: "nats-2", Current: true}, {Server: "nats-3", Current: true}},
		})
	}
	s.Streams[1].MaxAgeSeconds = 720 * 3600
	s.Subscribers = []inspect.Subscriber{{Name: "mailer"}}
	return s
}

// processes returns two workers with these versions.
func processes(versions ...string) (all []presence.Process) {
	for _, v := range versions {
		all = append(all, presence.Process{Role: presence.Worker, Version: v, Host: "host", Ready: true})
	}
	return all
}

func TestJudge(t *testing.T) {
	t.Parallel()
	stream := func(name string, change func(*inspect.Stream)) func(*inspect.Status) {
		return func(s *inspect.Status) {
			for i := range s.Streams {
				if s.Streams[i].Name == name {
					change(&s.Streams[i])
				}
			}
		}
	}
	follower := func(change func(*inspect.Replica)) func(*inspect.Status) {
		return stream(domain.StreamEvents, func(s *inspect.Stream) { change(&s.Followers[0]) })
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	webhook := func(w inspect.Webhook) func(*inspect.Status) {
		return func(s *inspect.Status) { s.At, s.Webhooks = at, []inspect.Webhook{w} }
	}
	size := func(bytes uint64, limit int64) func(*inspect.Stream) {
		return func(s *inspect.Stream) { s.Bytes, s.MaxBytes = bytes, limit }
	}
	for name, c := range map[string]struct {
		spoil func(*inspect.Status)
		want  inspect.Health
		found string // of the first problem
	}{
		"nothing":                 {func(*inspect.Status) {}, inspect.OK, ""},
		"a database that is down": {func(s *inspect.Status) { s.Database = inspect.Database{Error: "refused"} }, inspect.Fail, "refused"},
		"an old schema":           {func(s *inspect.Status) { s.Database.Error = "version 5" }, inspect.Fail, "version 5"},
		"no consumer":             {func(s *inspect.Status) { s.Commands.Error = "missing" }, inspect.Fail, "missing"},
		"a command of a minute":   {func(s *inspect.Status) { s.Commands.OldestSeconds = 60 }, inspect.OK, ""},
		"an older command":        {func(s *inspect.Status) { s.Commands.OldestSeconds = 61 }, inspect.Fail, "has waited for 1m1s"},
		"a backlog":               {func(s *inspect.Status) { s.Commands.Backlog = 100_000 }, inspect.OK, ""},
		"a large backlog":         {func(s *inspect.Status) { s.Commands.Backlog = 100_001 }, inspect.Warn, "100001 commands wait"},
		"no worker":               {func(s *inspect.Status) { s.Commands.NoWorker = true }, inspect.Warn, "no worker fetches commands"},
		"no worker for commands":  {func(s *inspect.Status) { s.Commands.NoWorker, s.Commands.Backlog = true, 1 }, inspect.Fail, "no worker fetches the commands"},
		"a pause": {func(s *inspect.Status) {
			s.Commands = inspect.Commands{Paused: &workers.Paused{Until: time.Unix(0, 0).UTC(), Operator: "alice", Reason: "a new disk"}, Backlog: 200_000, OldestSeconds: 900}
		}, inspect.Warn, "paused until 1970-01-01T00:00:00Z by alice: a new disk; 200000 commands wait"},
		"processes":              {func(s *inspect.Status) { s.Processes = processes("1", "1") }, inspect.OK, ""},
		"two versions of a role": {func(s *inspect.Status) { s.Processes = processes("1.1", "1.0") }, inspect.Warn, "different versions: 1.0, 1.1"},
		"two roles of two versions": {func(s *inspect.Status) {
			s.Processes = processes("1.1", "1.0")
			s.Processes[0].Role = presence.Ingress
		}, inspect.OK, ""},
		"a process that is not ready": {func(s *inspect.Status) {
			s.Processes = processes("1", "1")
			s.Processes[1].Ready, s.Processes[1].Reasons = false, []string{"database: down", "commands: paused"}
		}, inspect.Warn, "1 of 2 not ready, on host: database: down; commands: paused"},
		"processes that cannot be seen":           {func(s *inspect.Status) { s.ProcessesError = "may not subscribe" }, inspect.Warn, "may not subscribe"},
		"a log with room":                         {stream(domain.StreamCommands, size(80, 100)), inspect.OK, ""},
		"a log that is almost full":               {stream(domain.StreamCommands, size(81, 100)), inspect.Fail, "81 % of its limit"},
		"events with room":                        {stream(domain.StreamEvents, size(90, 100)), inspect.OK, ""},
		"events that will be dropped":             {stream(domain.StreamEvents, size(91, 100)), inspect.Fail, "91 % of its limit"},
		"events without a limit":                  {stream(domain.StreamEvents, size(2_000_000_000, 0)), inspect.OK, ""},
		"a large audit trail":                     {stream(domain.StreamAudit, size(2_000_000_000, 0)), inspect.Warn, "it has 2000 MB"},
		"a missing stream":                        {stream(domain.StreamAudit, func(s *inspect.Stream) { s.Error = "missing" }), inspect.Fail, "missing"},
		"no leader":                               {stream(domain.StreamAudit, func(s *inspect.Stream) { s.Leader = "" }), inspect.Fail, "no leader"},
		"a replica that is offline":               {follower(func(r *inspect.Replica) { r.Offline = true }), inspect.Warn, "it is offline; streams affected: 1"},
		"a replica that is silent":                {follower(func(r *inspect.Replica) { r.Current, r.SeenSeconds = false, 12 }), inspect.Warn, "silent for 12s"},
		"a replica that the leader does not know": {follower(func(r *inspect.Replica) { r.Current, r.Lag = false, 1 }), inspect.Warn, "no leader has seen it"},
		"a replica that catches up":               {follower(func(r *inspect.Replica) { r.Current, r.Lag, r.SeenSeconds = false, 10_000, 0.1 }), inspect.OK, ""},
		"a replica that is behind":                {follower(func(r *inspect.Replica) { r.Lag = 10_001 }), inspect.Warn, "10001 operations behind"},
		"a subscriber that is slow":               {func(s *inspect.Status) { s.Subscribers[0].OldestSeconds = 3600 }, inspect.OK, ""},
		"a subscriber that is behind":             {func(s *inspect.Status) { s.Subscribers[0].OldestSeconds = 3601 }, inspect.Warn, "has waited for 1h0m1s"},
		"a subscriber that loses":                 {func(s *inspect.Status) { s.Subscribers[0].OldestSeconds = 600 * 3600 }, inspect.Fail, "will be dropped"},
		"an event that was given up":              {func(s *inspect.Status) { s.GivenUp = 2 }, inspect.Warn, "have not accepted 2 events"},
		"a webhook that is paused":                {webhook(inspect.Webhook{State: endpoint.Paused, FailingSince: at.Add(-time.Hour)}), inspect.OK, ""},
		"a webhook that fails":                    {webhook(inspect.Webhook{State: endpoint.Active, FailingSince: at.Add(-10 * time.Minute)}), inspect.OK, ""},
		"a webhook that fails for long": {
			webhook(inspect.Webhook{State: endpoint.Active, FailingSince: at.Add(-11 * time.Minute), LastError: "refused"}), inspect.Warn, "has failed for 11m0s: refused",
		},
		"a webhook that is disabled":      {webhook(inspect.Webhook{State: endpoint.Disabled, Waiting: 7}), inspect.Fail, "disabled, and 7 events wait"},
		"a webhook without a consumer":    {webhook(inspect.Webhook{State: endpoint.Active, Lost: true}), inspect.Fail, "consumer is missing"},
		"subscribers that cannot be read": {func(s *inspect.Status) { s.SubscribersError = "no answer" }, inspect.Warn, "not everything could be read: no answer"},
		"webhooks that cannot be read":    {func(s *inspect.Status) { s.WebhooksError = "no answer" }, inspect.Warn, "not everything could be read: no answer"},
		"what a missing stream explains": {func(s *inspect.Status) {
			s.SubscribersError, s.WebhooksError, s.Streams[4].Error = "no answer", "no answer", "missing"
		}, inspect.Fail, "missing"},
		"the worst is first": {func(s *inspect.Status) {
			s.GivenUp, s.Streams[4].Error = 2, "missing"
		}, inspect.Fail, "missing"},
	} {
		s := healthy()
		c.spoil(&s)
		inspect.Judge(&s)
		if s.Health != c.want || s.Problems == nil || (len(s.Problems) == 0) != (c.want == inspect.OK) {
			t.Errorf("%s: %s, %+v, want %s", name, s.Health, s.Problems, c.want)
			continue
		}
		if c.found != "" && (!strings.Contains(s.Problems[0].Found, c.found) || s.Problems[0].Do == "" || s.Problems[0].See == "") {
			t.Errorf("%s: %+v, want %s", name, s.Problems[0], c.found)
		}
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	if got, want := inspect.RatesBetween(2*time.Second, [4]uint64{100, 90, 100, 95}, [4]uint64{120, 110, 130, 115}),
		(inspect.Rates{Seconds: 2, Accepted: 10, Completed: 10, Redeliveries: 5}); got == nil || *got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := inspect.RatesBetween(time.Second, [4]uint64{100, 90, 100, 95}, [4]uint64{}); got != nil {
		t.Errorf("of a log that was created again: %+v", got)
	}
	if got := inspect.RatesBetween(0, [4]uint64{1, 1, 1, 1}, [4]uint64{1, 1, 1, 1}); got != nil {
		t.Errorf("without time between: %+v", got)
	}
}
