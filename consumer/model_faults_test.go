package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strings"

	"clientele/domain"
	"clientele/publisher"
	"clientele/store"

	"github.com/nats-io/nats.go"
)

// unstorableName makes a valid client one that the store refuses.
const unstorableName = "Unstorable"

// variants are the commands that may come under an id. Those with the same last name mean the same client.
var variants = []struct {
	name   string
	reason domain.Code // for which it is rejected whatever is stored
	change func(*nats.Msg)
}{
	{name: "Ada"},
	{name: "Bob"},
	{name: "Cid"},
	{name: unstorableName, reason: domain.CodeUnstorable},
	{name: strings.Repeat("x", 256), reason: domain.CodeInvalid},
	{name: "Ada", reason: domain.CodeUndecodable, change: func(msg *nats.Msg) { // a forgery
		msg.Header.Set(domain.HeaderFingerprint, strings.Repeat("0", 64))
	}},
	{name: "Ada", reason: domain.CodeUndecodable, change: func(msg *nats.Msg) {
		msg.Header, msg.Data = nats.Header{"X": {"y"}}, []byte("\xffgarbage")
	}},
}

// The calls of a worker that can go wrong.
const (
	callStore      = "store"
	callEvents     = "events"
	callRejections = "rejections"
)

// How much of a failing call takes effect, and what else happens at that moment.
const (
	nothing = "nothing"
	half    = "half"
	all     = "all"

	working  = "goes on"         // the worker tries again
	stopping = "is told to stop" // and gives the commands back
)

// fault is what will happen to a call.
type fault struct {
	after  int    // calls of this kind that still work
	effect string // nothing, half, all
	worker string // working, stopping
	works  bool   // the call works after all, so that only the stop is left
}

// faults is a store and the outcomes as a worker sees them, with what was asked for going wrong. A worker uses them from one
// goroutine.
type faults struct {
	store    store.Store
	outcomes *publisher.OutcomePublisher
	calls    map[string]fault
	crash    string // the call after which the worker will die

	// Of the batch in hand.
	stop   context.CancelFunc
	stops  bool // it was told to stop
	gaveUp bool // so it must give the commands back
}

var errAway = errors.New("the connection was lost")

// crashed is what a worker panics with when it is to die.
type crashed struct{}

// die is the worker's end, if it was to come after this call.
func (f *faults) die(call string) {
	if f.crash == call {
		f.crash = ""
		f.gaveUp = true
		panic(crashed{})
	}
}

// strike says how many of n clients, events or rejections the call still carries out, and whether it fails then.
func (f *faults) strike(call string, n int) (effective int, err error) {
	fault, armed := f.calls[call]
	if !armed {
		return n, nil
	}
	if fault.after > 0 {
		fault.after--
		f.calls[call] = fault
		return n, nil
	}
	delete(f.calls, call)
	if fault.worker == stopping {
		f.stops = true
		f.stop()
	}
	if fault.works {
		return n, nil
	}
	f.gaveUp = f.gaveUp || f.stops
	switch fault.effect {
	case nothing:
		return 0, errAway
	case half:
		return n / 2, errAway
	default:
		return n, errAway
	}
}

// Create is the store's, which stores all or nothing. Clients with a certain last name reach it with a date that no
// database takes.
func (f *faults) Create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
	effective, failure := f.strike(callStore, len(clients))
	if effective < len(clients) {
		return nil, failure
	}
	handed := slices.Clone(clients)
	for i := range handed {
		if handed[i].LastName == unstorableName {
			handed[i].DOB = new("2024-02-30")
		}
	}
	results, err := f.store.Create(ctx, handed)
	f.die(callStore)
	if failure != nil {
		return nil, failure
	}
	return results, err
}

func (f *faults) PublishEvents(events []domain.Event) error {
	effective, failure := f.strike(callEvents, len(events))
	err := errors.Join(failure, f.outcomes.PublishEvents(events[:effective]))
	f.die(callEvents)
	return err
}

func (f *faults) PublishRejections(rejections []domain.Rejection) error {
	effective, failure := f.strike(callRejections, len(rejections))
	err := errors.Join(failure, f.outcomes.PublishRejections(rejections[:effective]))
	f.die(callRejections)
	return err
}

func (f *faults) NotifyCompleted(ids []string) { f.outcomes.NotifyCompleted(ids) }
