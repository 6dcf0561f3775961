package systemtest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// answers are what callers were told, by the idempotency key of the request. Each request is sent once.
type answers struct {
	mu       sync.Mutex
	accepted []string
	refused  []string // certainly not accepted
	unknown  []string
}

// post sends a request every 5 ms until the context ends.
func (a *answers) post(ctx context.Context, t *testing.T, api string) {
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		key := publishertest.NewID(t).String()
		r := testcluster.Post(t, api, testcluster.Jane, key)
		a.mu.Lock()
		switch {
		case r.Status == http.StatusAccepted:
			a.accepted = append(a.accepted, key)
		case r.Status == http.StatusServiceUnavailable && strings.Contains(r.Body, "/problems/outcome-unknown"):
			a.unknown = append(a.unknown, key)
		case r.Status == http.StatusServiceUnavailable:
			a.refused = append(a.refused, key)
		default:
			t.Errorf("%d: %s", r.Status, r.Body)
		}
		a.mu.Unlock()
		<-pace.C
	}
}

func (a *answers) counts() (accepted, others int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.accepted), len(a.refused) + len(a.unknown)
}

// check checks the answers with the commands that are on the log.
func (a *answers) check(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	var keyedID func(caller, key string) uuid.UUID
	var info *jetstream.StreamInfo
	publishertest.Eventually(t, "a look at the log", func() bool { // leaders may be elected
		var err error
		if keyedID, err = testcluster.KeyedIDs(js.Conn()); err != nil {
			return false
		}
		log, err := js.Stream(t.Context(), domain.StreamCommands)
		if err != nil {
			return false
		}
		info, err = log.Info(t.Context(), jetstream.WithSubjectFilter(domain.SubjectCreate+"*"))
		return err == nil
	})
	onLog := func(keys []string) (n int) {
		for _, key := range keys {
			if info.State.Subjects[domain.SubjectCreate+keyedID("anonymous", key).String()] > 0 {
				n++
			}
		}
		return n
	}
	if n := onLog(a.accepted); n != len(a.accepted) {
		t.Errorf("%d commands were accepted, and %d of them are on the log", len(a.accepted), n)
	}
	if n := onLog(a.refused); n != 0 {
		t.Errorf("%d commands were refused, and %d of them are on the log", len(a.refused), n)
	}
	t.Logf("%d accepted, %d refused, %d unknown, of which %d are on the log", len(a.accepted), len(a.refused), len(a.unknown), onLog(a.unknown))
}

// Whatever happens to the servers, each answer is true: an accepted command is on the log at the end, and a refused one is not.
func TestAnswersAreTrueOnThreeServers(t *testing.T) {
	t.Parallel()
	s := startReplicas(t, 3)
	all := fmt.Sprint(s.url("ingress", 0), ",", s.url("ingress", 1), ",", s.url("ingress", 2))
	var told answers
	var callers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer callers.Wait()
	defer stop()
	for range 2 {
		ingress := testcluster.Clientele(t, "ingress", "--nats-url", all, "--database-url", s.database)
		ingress.Ready()
		for range 4 {
			callers.Go(func() { told.post(ctx, t, ingress.API()) })
		}
	}
	more := func(what string, count func() int) {
		t.Helper()
		before := count()
		publishertest.Eventually(t, what, func() bool { return count() >= before+8 })
	}
	works := func() { t.Helper(); more("commands are accepted", func() int { n, _ := told.counts(); return n }) }
	fails := func() { t.Helper(); more("commands are not accepted", func() int { _, n := told.counts(); return n }) }
	signal := func(signal syscall.Signal, servers ...int) {
		for _, i := range servers {
			s.servers[i].Signal(signal)
		}
	}
	works()
	for name, fault := range map[string]func(leader, follower int){
		"the leader stops for a while": func(leader, _ int) {
			signal(syscall.SIGSTOP, leader)
			fails()
			works()
			signal(syscall.SIGCONT, leader)
		},
		"the followers stop for a while": func(leader, follower int) {
			others := []int{follower, 3 - leader - follower}
			signal(syscall.SIGSTOP, others...)
			fails()
			signal(syscall.SIGCONT, others...)
		},
		"two of three are killed": func(leader, follower int) {
			s.servers[leader].Kill()
			s.servers[follower].Kill()
			fails()
			s.servers[leader].Restart(t)
			s.servers[follower].Restart(t)
		},
	} {
		leader := s.leader(domain.StreamCommands)
		fault(leader, (leader+1)%3)
		works()
		accepted, others := told.counts()
		t.Logf("%s: %d accepted, %d not", name, accepted, others)
	}
	stop()
	callers.Wait()
	told.check(t, s.js)
}
