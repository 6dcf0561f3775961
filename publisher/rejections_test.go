package publisher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestRejectionsAreListed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const n = 600 // more than two pages
	start := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	reasons := []domain.Code{domain.CodeInvalid, domain.CodeKeyReused, domain.CodeUndecodable, domain.CodeUnstorable}
	var all []domain.Rejection
	for i := range n {
		all = append(all, domain.Rejection{
			ID: fmt.Sprintf("id-%03d", i), Reason: reasons[i%4], RejectedAt: start.Add(time.Duration(i) * time.Second),
			Errors: []domain.Violation{{Detail: "as a whole"}, {Pointer: fmt.Sprintf("/member%d", i%5)}},
			Command: domain.RejectedCommand{
				Body: bytes.Repeat([]byte{'x'}, 6<<10), Headers: map[string][]string{domain.HeaderCaller: {fmt.Sprintf("caller %d", i%7)}},
			},
		})
	}
	s.reject(all...)
	for _, i := range []int{0, 255, 256, 599} {
		if err := s.rejections.Drop(t.Context(), s.get(all[i].ID)); err != nil {
			t.Fatal(err)
		}
	}
	newest, err := s.rejections.Newest(t.Context())
	if err != nil || newest != n {
		t.Fatalf("newest %d, %v", newest, err)
	}
	s.reject(domain.Rejection{ID: "later", Reason: domain.CodeInvalid, RejectedAt: start.Add(time.Hour)})

	there := func(i int) bool { return !slices.Contains([]int{0, 255, 256, 599}, i) }
	for _, c := range []struct {
		name   string
		filter publisher.RejectionFilter
		want   func(i int) bool
		later  bool
	}{
		{"all", publisher.RejectionFilter{}, func(int) bool { return true }, true},
		{"up to", publisher.RejectionFilter{UpTo: newest}, func(int) bool { return true }, false},
		{"up to the middle", publisher.RejectionFilter{UpTo: 300}, func(i int) bool { return i < 300 }, false},
		{"reason", publisher.RejectionFilter{Reasons: reasons[:1]}, func(i int) bool { return i%4 == 0 }, true},
		{"reasons", publisher.RejectionFilter{Reasons: reasons[1:3]}, func(i int) bool { return i%4 == 1 || i%4 == 2 }, false},
		{"since", publisher.RejectionFilter{Since: start.Add(10 * time.Second)}, func(i int) bool { return i >= 10 }, true},
		{"pointer", publisher.RejectionFilter{Pointer: "/member3"}, func(i int) bool { return i%5 == 3 }, false},
		{"part of a pointer", publisher.RejectionFilter{Pointer: "/member"}, func(int) bool { return false }, false},
		{"caller", publisher.RejectionFilter{Caller: "caller 2"}, func(i int) bool { return i%7 == 2 }, false},
		{"until", publisher.RejectionFilter{Until: start.Add(10 * time.Second)}, func(i int) bool { return i <= 10 }, false},
		{
			"all of it",
			publisher.RejectionFilter{
				Reasons: reasons[3:], Pointer: "/member2", Caller: "caller 0", Since: start.Add(3 * time.Second), Until: start.Add(7 * time.Second),
			},
			func(i int) bool { return i == 7 }, false,
		},
	} {
		var got, want []string
		for r, err := range s.rejections.All(t.Context(), c.filter) {
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			got = append(got, r.ID)
		}
		for i, r := range all {
			if there(i) && c.want(i) {
				want = append(want, r.ID)
			}
		}
		if c.later {
			want = append(want, "later")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
	for r, err := range s.rejections.All(t.Context(), publisher.RejectionFilter{}) {
		if err != nil || r.Sequence != 2 || r.Reason != domain.CodeKeyReused || !r.RejectedAt.Equal(start.Add(time.Second)) {
			t.Errorf("the first: %+v, %v", r, err)
		}
		break
	}
	if n := streamInfo(t, s.nc, domain.StreamRejections).State.Consumers; n != 0 {
		t.Errorf("%d consumers", n)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.rejections.All(ended, publisher.RejectionFilter{UpTo: newest}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after the end of the context: %v", err)
		}
	}
}

func TestNoRejections(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for r, err := range s.rejections.All(t.Context(), publisher.RejectionFilter{}) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, id := range []string{"a", "", "a.b", "a b", "a\n", "*", ">"} {
		if _, err := s.rejections.Get(t.Context(), id); domain.CodeOf(err) != domain.CodeNotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// A rejection with an unusual subject is found by it, and no other rejection is.
func TestStrangeIDs(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, id := range []string{"a", "\xff", "\x1b[31m", "ü"} {
		s.reject(domain.Rejection{ID: id, Reason: domain.CodeUndecodable})
	}
	if r, err := s.rejections.Get(t.Context(), "*"); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("* is %+v, %v", r, err)
	}
	s.reject(domain.Rejection{ID: "*", Reason: domain.CodeUndecodable}, domain.Rejection{ID: "last", Reason: domain.CodeInvalid})
	for _, id := range []string{"a", "\xff", "\x1b[31m", "ü", "*"} {
		r := s.get(id)
		if r.ID != id {
			t.Errorf("%q is %+v", id, r)
		}
		if err := s.rejections.Drop(t.Context(), r); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	s.want(map[string]string{}, "last")
}

// Commands published as an atomic batch are retried one by one, without the headers of the server.
func TestRetry(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var commands []domain.CreateClient
	for range 100 {
		commands = append(commands, publishertest.Command(t, publishertest.NewID(t), "Smith"))
	}
	if err := errors.Join(appendAll(s.log, commands)...); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(s.messages(domain.StreamCommands), func(msg *jetstream.RawStreamMsg) bool {
		return msg.Header.Get("Nats-Batch-Id") != ""
	}) {
		t.Fatal("no command came in a batch")
	}
	s.work(100, true)
	for _, c := range commands {
		s.retry(c.ID.String())
	}
	s.want(func() map[string]string {
		want := map[string]string{}
		for _, c := range commands {
			want[c.ID.String()] = string(c.Body)
		}
		return want
	}())
	for _, msg := range s.take(100) { // the worker receives them again
		var names []string
		for name := range msg.Headers() {
			names = append(names, name)
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{domain.HeaderAcceptedAt, domain.HeaderCaller, domain.HeaderFingerprint, "Clientele-Retries", domain.HeaderRules}) {
			t.Errorf("headers %v", names)
		}
		i := slices.IndexFunc(commands, func(c domain.CreateClient) bool {
			return msg.Subject() == domain.SubjectCreate+c.ID.String()
		})
		found, err := s.log.Find(t.Context(), commands[i].ID)
		if err != nil || !found.AcceptedAt.Equal(commands[i].AcceptedAt) || found.Fingerprint != commands[i].Fingerprint {
			t.Errorf("%s: %+v %v", msg.Subject(), found, err)
		}
	}
}

// A retried command has the number of its retries, and so has the next rejection of it, even if no ingress wrote the command.
func TestRetriesAreCounted(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	c := publishertest.Command(t, publishertest.NewID(t), "Smith")
	if err := errors.Join(appendAll(s.log, []domain.CreateClient{c})...); err != nil {
		t.Fatal(err)
	}
	s.postID("another", "x")
	s.work(2, true)
	for want := range uint64(3) {
		for _, id := range []string{c.ID.String(), "another"} {
			r := s.get(id)
			if got := r.Retries(); got != want {
				t.Errorf("%s: retried %d times, want %d", id, got, want)
			}
			if err := s.rejections.Forget(t.Context(), r); err != nil { // as in a retry that is interrupted, and repeated
				t.Fatal(err)
			}
			s.retry(id)
		}
		s.work(2, true)
	}
	for _, value := range []string{"", "-1", "many", "99999999999"} {
		r := publisher.StoredRejection{Rejection: domain.Rejection{Command: domain.RejectedCommand{Headers: map[string][]string{"Clientele-Retries": {value}}}}}
		if n := r.Retries(); n != 0 {
			t.Errorf("%q is %d", value, n)
		}
	}
}

func TestARetryIsInterrupted(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	rejected := func(id string) publisher.StoredRejection {
		t.Helper()
		s.postID(id, "body of "+id)
		s.work(1, true)
		return s.get(id)
	}
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	a := rejected("a")
	step(s.rejections.Forget(t.Context(), a))
	s.want(map[string]string{}, "a")
	s.retry("a")
	s.want(map[string]string{"a": "body of a"})
	s.work(1, false)

	// While the published command is in progress, a retry is skipped. When it is finished, a retry publishes it again.
	b := rejected("b")
	step(s.rejections.Forget(t.Context(), b))
	step(s.rejections.Republish(b))
	s.wantSkipped(s.rejections.Retry(t.Context(), b), "in progress")
	s.want(map[string]string{"a": "body of a", "b": "body of b"}, "b")
	s.work(1, false)
	s.retry("b")
	s.want(map[string]string{"a": "body of a", "b": "body of b"})
	s.work(1, false)

	// If the command is rejected again before its old rejection is removed, the new rejection stays.
	c := rejected("c")
	step(s.rejections.Forget(t.Context(), c))
	step(s.rejections.Republish(c))
	s.work(1, true)
	step(s.rejections.Remove(t.Context(), c))
	if again := s.get("c"); again.Sequence <= c.Sequence {
		t.Errorf("rejection %d, want one after %d", again.Sequence, c.Sequence)
	}
	// It also stays if another operator repeats a complete retry.
	step(s.rejections.Retry(t.Context(), c))
	s.want(map[string]string{"a": "body of a", "b": "body of b", "c": "body of c"}, "c")
}

func TestACommandUnderWayIsNotTouched(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, id := range []string{"first", "a"} {
		s.reject(domain.Rejection{ID: id, Reason: domain.CodeInvalid, Command: domain.RejectedCommand{Body: []byte("old")}})
		s.postID(id, "new")
	}
	both := map[string]string{"first": "new", "a": "new"}
	s.wantSkipped(s.rejections.Retry(t.Context(), s.get("a")), "in progress")
	s.want(both, "a", "first")

	msgs := s.take(2) // delivered, but not acknowledged
	s.wantSkipped(s.rejections.Retry(t.Context(), s.get("a")), "in progress")
	s.want(both, "a", "first")
	if err := s.rejections.Drop(t.Context(), s.get("a")); err != nil {
		t.Error(err)
	}
	s.want(both, "first")

	s.finish(msgs[1], true) // acknowledged, but above the ack floor until the first is acknowledged
	s.wantSkipped(s.rejections.Retry(t.Context(), s.get("a")), "its command is still in progress")
	s.wantSkipped(s.rejections.Drop(t.Context(), s.get("a")), "its command is still in progress") // without its rejection, it would look pending
	s.want(both, "a", "first")

	s.finish(msgs[0], false)
	s.retry("a")
	s.want(both, "first")
}

// Another caller may publish between the two steps of a retry.
func TestACommandComesMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.postID("a", "old")
	s.work(1, true)
	a := s.get("a")
	if err := s.rejections.Forget(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	s.postID("a", "new")
	s.wantSkipped(s.rejections.Republish(a), "in progress")
	s.wantSkipped(s.rejections.Retry(t.Context(), a), "in progress")
	s.want(map[string]string{"a": "new"}, "a")
}

// A subject may end in a wildcard, which is literal in a publish and a pattern elsewhere.
func TestACommandNamedLikeAPattern(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"*", ">"} {
		s := newSystem(t)
		s.postID(id, "1")
		s.postID("done", "2")
		s.work(2, true)
		all := map[string]string{id: "1", "done": "2"}
		s.wantSkipped(s.rejections.Retry(t.Context(), s.get(id)), "in progress")
		s.want(all, id, "done")
		s.postID("pending", "3")
		all["pending"] = "3"
		s.wantSkipped(s.rejections.Retry(t.Context(), s.get(id)), "in progress")
		s.want(all, id, "done")
		if err := s.rejections.Drop(t.Context(), s.get(id)); err != nil {
			t.Error(err)
		}
		s.want(all, "done")
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, id := range []string{"a", "b", "c"} {
		s.postID(id, id)
	}
	s.work(3, true)
	a, b := s.get("a"), s.get("b")
	for range 2 { // the second call finds nothing to remove
		if err := s.rejections.Drop(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	s.want(map[string]string{"b": "b", "c": "c"}, "b", "c")
	if err := s.rejections.Forget(t.Context(), b); err != nil { // as in an interrupted Drop
		t.Fatal(err)
	}
	if err := s.rejections.Drop(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	s.want(map[string]string{"c": "c"}, "c")
}

func TestRetryOnAFullLog(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.postID("a", strings.Repeat("x", 1000))
	s.work(1, true)
	for i := range 10 {
		s.postID(fmt.Sprint("pending-", i), strings.Repeat("y", 1000))
	}
	size := func(bytes int64) {
		t.Helper()
		cfg := publishertest.Streams
		cfg.LogMaxBytes = bytes
		if err := streams.Migrate(t.Context(), s.js, cfg); err != nil {
			t.Fatal(err)
		}
	}
	size(5000)
	if err := s.rejections.Retry(t.Context(), s.get("a")); domain.CodeOf(err) != domain.CodeLogFull {
		t.Fatal(err)
	}
	if _, ok := s.bodies(domain.StreamRejections)["a"]; !ok {
		t.Fatal("the rejection is gone")
	}
	size(1 << 20)
	s.retry("a")
	if commands := s.bodies(domain.StreamCommands); len(commands) != 11 || len(commands["a"]) != 1000 {
		t.Errorf("%d commands", len(commands))
	}
}

func TestAMessageThatIsNoRejection(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.post(&nats.Msg{Subject: domain.SubjectRejected + "a", Data: []byte("garbage")})
	r := s.get("a")
	if r.ID != "a" || r.Reason != publisher.ReasonUnreadable || string(r.Command.Body) != "garbage" || time.Since(r.RejectedAt) > time.Minute {
		t.Errorf("%+v", r)
	}
	s.wantSkipped(s.rejections.Retry(t.Context(), r), "not a rejection")
	s.want(map[string]string{}, "a")
	if err := s.rejections.Drop(t.Context(), r); err != nil {
		t.Error(err)
	}
	s.want(map[string]string{})
}

// A rejection replaces bytes that are not UTF-8. That may make a command larger than the log accepts, or a header invalid. Such a
// command must not block others.
func TestARejectedCommandThatCannotBePublished(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.post(&nats.Msg{Subject: domain.SubjectCreate + "large", Header: nats.Header{"X": {strings.Repeat("\xff", 32<<10)}}})
	s.work(1, true)
	s.reject(domain.Rejection{ID: "name", Command: domain.RejectedCommand{Headers: map[string][]string{"\xff": {"x"}}}})
	for id, reason := range map[string]string{"large": "message size exceeds maximum allowed", "name": "could not decode headers"} {
		s.wantSkipped(s.rejections.Retry(t.Context(), s.get(id)), "cannot be published again: publish: nats: ")
		s.wantSkipped(s.rejections.Retry(t.Context(), s.get(id)), reason)
	}
	s.want(map[string]string{}, "large", "name")
}

func TestRejectionsOfAServerThatIsNotSetUp(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.postID("a", "a")
	s.work(1, true)
	if err := s.js.DeleteConsumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{s.rejections.Retry(t.Context(), s.get("a")), s.rejections.Drop(t.Context(), s.get("a"))} {
		if _, missing := errors.AsType[*publisher.MissingConsumerError](err); !missing {
			t.Errorf("without the consumer: %v", err)
		}
	}
	s.want(map[string]string{"a": "a"}, "a")
	for _, name := range []string{domain.StreamCommands, domain.StreamRejections} {
		if err := s.js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		_, err := publisher.OpenRejections(t.Context(), s.nc)
		if missing, ok := errors.AsType[*streams.MissingError](err); !ok || missing.Stream != name {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
