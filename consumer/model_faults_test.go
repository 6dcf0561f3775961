package consumer_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"

	"clientele/domain"
	"clientele/publisher"
	"clientele/store"

	"github.com/nats-io/nats.go"
)

// unstorableName is the last name of valid clients that the store refuses.
const unstorableName = "Unstorable"

// panickingName is the last name of valid clients that make the store panic.
const panickingName = "Panicking"

// variants are the possible commands of an id. Those with the same last name describe the same client.
var variants = []struct {
	name   string
	reason domain.Code // why it is always rejected, or ""
	change func(*nats.Msg)
}{
	{name: "Ada"},
	{name: "Bob"},
	{name: "Cid"},
	{name: unstorableName, reason: domain.CodeUnstorable},
	{name: panickingName, reason: domain.CodeUndecodable},
	{name: strings.Repeat("x", 256), reason: domain.CodeInvalid},
	{name: "Ada", reason: domain.CodeUndecodable, change: func(msg *nats.Msg) { // a forgery
		msg.Header.Set(domain.HeaderFingerprint, strings.Repeat("0", 64))
	}},
	{name: "Ada", reason: domain.CodeUndecodable, change: func(msg *nats.Msg) {
		msg.Header, msg.Data = nats.Header{"X": {"y"}}, []byte("\xffgarbage")
	}},
}

// The calls of a worker that can fail.
const (
	callStore      = "store"
	callEvents     = "events"
	callRejections = "rejections"
)

// How much of a failing call takes effect, and what the worker does then.
const (
	nothing = "nothing"
	half    = "half"
	all     = "all"

	working  = "goes on"         // the worker tries again
	stopping = "is told to stop" // the worker returns the commands to the log
)

// fault describes the failure of a call.
type fault struct {
	after  int    // number of calls of this kind that still succeed
	effect string // nothing, half, all
	worker string // working, stopping
	works  bool   // the call succeeds, so that only the stop remains
}

// faults wraps a store and outcomes, and injects faults. It is not safe for concurrent use.
type faults struct {
	store    store.Store
	outcomes *publisher.OutcomePublisher
	calls    map[string]fault
	crash    string // the call after which the worker will die

	// The state of the current batch.
	stop   context.CancelFunc
	stops  bool // it was told to stop
	gaveUp bool // it must return the commands to the log
}

var errAway = errors.New("the connection was lost")

// die ends the worker if it must die after this call.
func (f *faults) die(call string) {
	if f.crash == call {
		f.crash = ""
		f.gaveUp = true
		runtime.Goexit()
	}
}

// strike returns how many of n clients, events or rejections the call processes, and its error.
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

// Create calls the store, which stores all or nothing. It gives clients with unstorableName a date that every
// database refuses, and panics at those with panickingName.
func (f *faults) Create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
	effective, failure := f.strike(callStore, len(clients))
	if effective < len(clients) {
		return nil, failure
	}
	handed := slices.Clone(clients)
	for i := range handed {
		switch handed[i].LastName {
		case unstorableName:
			handed[i].DOB = new("2024-02-30")
		case panickingName:
			if failure != nil {
				return nil, failure
			}
			panic(panickingName)
		}
	}
	results, err := f.store.Create(ctx, handed)
	f.die(callStore)
	if failure != nil {
		return nil, failure
	}
	return results, err
}

// arrived publishes until that succeeds. A publish that times out on a busy machine can arrive during a later action of the model; one that
// succeeds behind it says that it has arrived.
func arrived(publish func() error) (err error) {
	for range 10 {
		if err = publish(); err == nil {
			return nil
		}
	}
	return err
}

func (f *faults) PublishEvents(events []domain.Event) error {
	effective, failure := f.strike(callEvents, len(events))
	err := errors.Join(failure, arrived(func() error { return f.outcomes.PublishEvents(events[:effective]) }))
	f.die(callEvents)
	return err
}

func (f *faults) PublishRejections(rejections []domain.Rejection) error {
	effective, failure := f.strike(callRejections, len(rejections))
	err := errors.Join(failure, arrived(func() error { return f.outcomes.PublishRejections(rejections[:effective]) }))
	f.die(callRejections)
	return err
}

func (f *faults) NotifyCompleted(ids []string) { f.outcomes.NotifyCompleted(ids) }
