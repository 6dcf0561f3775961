package forward_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/forward"
	"clientele/cmd/internal/webhook"
	"clientele/publisher/endpoint"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go/jetstream"
)

func TestNextHealth(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	var never time.Time
	for name, c := range map[string]struct {
		recorded                  endpoint.Health
		lastSuccess, failingSince time.Time
		broken                    bool
		want                      endpoint.Health
		changed                   bool
	}{
		"nothing seen":                  {endpoint.Health{}, never, never, false, endpoint.Health{}, false},
		"the first success":             {endpoint.Health{}, ago(0), never, false, endpoint.Health{LastSuccess: now}, true},
		"a success soon after another":  {endpoint.Health{LastSuccess: ago(50 * time.Second)}, ago(0), never, false, endpoint.Health{LastSuccess: ago(50 * time.Second)}, false},
		"a success a minute later":      {endpoint.Health{LastSuccess: ago(61 * time.Second)}, ago(0), never, false, endpoint.Health{LastSuccess: now}, true},
		"a failure":                     {endpoint.Health{LastSuccess: ago(time.Hour)}, never, ago(time.Minute), false, endpoint.Health{LastSuccess: ago(time.Hour), FailingSince: ago(time.Minute), LastError: "refused"}, true},
		"a failure before it is active": {endpoint.Health{}, never, ago(9 * day), false, endpoint.Health{FailingSince: ago(8 * day), LastError: "refused"}, true},
		"a failure that another process has recorded": {
			endpoint.Health{FailingSince: ago(time.Hour), LastError: "x"}, never, ago(time.Minute), true, endpoint.Health{FailingSince: ago(time.Hour), LastError: "x"}, false,
		},
		"a failure before the success of another process": {
			endpoint.Health{LastSuccess: ago(time.Minute)}, never, ago(time.Hour), true, endpoint.Health{LastSuccess: ago(time.Minute)}, false,
		},
		"a success after a failure":        {endpoint.Health{FailingSince: ago(4 * day), LastError: "x"}, ago(0), never, false, endpoint.Health{LastSuccess: now}, true},
		"a success before a failure":       {endpoint.Health{FailingSince: ago(time.Second)}, ago(2 * time.Second), never, false, endpoint.Health{LastSuccess: ago(2 * time.Second)}, true},
		"four days of failures":            {endpoint.Health{FailingSince: ago(4 * day)}, never, ago(day), true, endpoint.Health{FailingSince: ago(4 * day)}, false},
		"five days of failures":            {endpoint.Health{FailingSince: ago(5 * day)}, never, ago(day), true, endpoint.Health{FailingSince: ago(5 * day), DisabledAt: now, LastError: "refused"}, true},
		"one failure after days of a stop": {endpoint.Health{FailingSince: ago(6 * day)}, never, ago(time.Second), false, endpoint.Health{FailingSince: ago(6 * day)}, false},
	} {
		e := endpoint.Endpoint{Settings: endpoint.Settings{DisableAfter: endpoint.Duration(5 * day), ActiveSince: ago(8 * day)}, Health: c.recorded}
		if got, changed := forward.NextHealth(e, c.lastSuccess, c.failingSince, c.broken, now); got != c.want || changed != c.changed {
			t.Errorf("%s: %+v %v, want %+v %v", name, got, changed, c.want, c.changed)
		}
	}
	forever := endpoint.Endpoint{Health: endpoint.Health{FailingSince: ago(100 * day)}}
	if got, changed := forward.NextHealth(forever, never, ago(time.Hour), true, now); changed {
		t.Errorf("with --disable-after 0s: %+v", got)
	}
}

// A process fails for days. Another one succeeds once, a minute later by its clock or an hour, and is stopped. The failures that follow
// are recorded, and the endpoint is disabled.
func TestFailuresContinueAfterASuccessOfAnotherProcess(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, later := range []time.Duration{time.Minute, time.Hour} {
		var p forward.Process
		e := endpoint.Endpoint{Settings: endpoint.Settings{URL: "https://crm.example.com", DisableAfter: endpoint.Duration(5 * day), ActiveSince: began}}
		look := func(after time.Duration) {
			if next, changed := p.NextHealth(e, began.Add(after)); changed {
				e.Health = next
			}
		}
		p.Fail(began)
		look(time.Second)
		if e.Health.FailingSince != began {
			t.Fatalf("the first failure: %+v", e.Health)
		}
		success := began.Add(later)
		e.Health = endpoint.Health{LastSuccess: success}
		look(2 * time.Minute)
		if e.Health.FailingSince != (time.Time{}) {
			t.Errorf("a failure before a success %s later is recorded: %+v", later, e.Health)
		}
		for after := 5 * time.Minute; after <= 4*day; after += 5 * time.Minute {
			p.Fail(began.Add(after))
			look(after + time.Second)
		}
		if since := e.Health.FailingSince; !since.After(success) || since.After(success.Add(10*time.Minute)) || e.State() != endpoint.Active {
			t.Errorf("four days of failures after a success %s later: %+v", later, e.Health)
		}
		look(5*day + later + 10*time.Minute)
		if e.State() != endpoint.Disabled {
			t.Errorf("five days of failures after a success %s later: %+v", later, e.Health)
		}
	}
}

func TestIsHopeless(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	refused, away := error(&webhook.StatusError{Status: http.StatusGone}), error(&webhook.StatusError{Status: http.StatusBadGateway})
	var never time.Time
	for name, c := range map[string]struct {
		err         error
		attempt     uint64
		lastSuccess time.Time
		broken      bool
		want        bool
	}{
		"fails while others succeed":                {away, 300, ago(time.Second), false, true},
		"others succeeded ten hours ago":            {away, 300, ago(10 * time.Hour), false, true},
		"others succeeded before the first attempt": {away, 300, ago(25 * time.Hour), false, false},
		"no other has succeeded since a restart":    {away, 300, never, false, false},
		"all fail":                                  {away, 300, ago(10 * time.Hour), true, false},
		"fails too briefly":                         {away, 200, ago(time.Second), false, false},
		"refused ten times":                         {refused, 10, never, false, true},
		"refused ten times while others fail":       {refused, 10, never, true, true},
		"refused nine times while others succeed":   {refused, 9, ago(time.Second), false, false},
	} {
		if got := forward.IsHopeless(24*time.Hour, c.err, c.attempt, c.lastSuccess, c.broken, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if forward.IsHopeless(0, refused, 1000, now, false, now) {
		t.Error("with --give-up-after 0s, an event is given up")
	}
}

// A record that the server refuses does not stop those of other endpoints, and records for which there is no time wait.
func TestRecordsOfOthers(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(publishertest.Start(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := endpoint.Open(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	all := func() map[string][]endpoint.Delivery {
		waiting := map[string][]endpoint.Delivery{"large": {{Time: time.Now(), Error: strings.Repeat("x", 20<<10)}}}
		for i := range 10 {
			waiting[fmt.Sprint("other", i)] = []endpoint.Delivery{{Time: time.Now(), Event: 1}}
		}
		return waiting
	}
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	if waiting := forward.WriteRecords(interrupted, bucket, all()); len(waiting) != 11 {
		t.Errorf("the deliveries of %d endpoints wait, want 11", len(waiting))
	}
	if waiting := forward.WriteRecords(t.Context(), bucket, all()); len(waiting) != 0 {
		t.Errorf("%v wait", waiting)
	}
	for i := range 10 {
		n := 0
		for _, err := range endpoint.Deliveries(t.Context(), js, fmt.Sprint("other", i), time.Time{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 1 {
			t.Errorf("endpoint %d has %d deliveries, want 1", i, n)
		}
	}
}

func TestFailuresAreRecordedFirst(t *testing.T) {
	t.Parallel()
	var all []endpoint.Delivery
	for i := range 3 * forward.RecordsPerWrite {
		d := endpoint.Delivery{Event: uint64(i), Result: endpoint.Delivered}
		if i%10 == 9 {
			d.Result = endpoint.Failed
		}
		all = append(all, d)
	}
	failed := 0
	kept := forward.Kept(all)
	for _, d := range kept {
		if d.Result == endpoint.Failed {
			failed++
		}
	}
	if len(kept) != forward.RecordsPerWrite || failed != 7 {
		t.Errorf("%d deliveries are recorded, %d of them failures, want %d and 7", len(kept), failed, forward.RecordsPerWrite)
	}
	if kept := forward.Kept(all[:3]); len(kept) != 3 {
		t.Errorf("%v", kept)
	}
}
