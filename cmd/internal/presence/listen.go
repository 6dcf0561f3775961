package presence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

// firstListen is how long a listener waits until it has heard every process: one announcement, and the time that it may be late. While it has
// heard none, it waits for lifetime: a process without processor time is later.
const firstListen = interval + 400*time.Millisecond

// Listener hears announcements. It is safe for concurrent use.
type Listener struct {
	subscription *nats.Subscription
	began        time.Time
	first        chan struct{} // closed with the first announcement or refusal
	once         sync.Once     // closes it

	mu      sync.Mutex
	heard   map[string]map[string]heard // by subject and id, so that no role replaces or crowds out a process of another
	refused error
}

type heard struct {
	announcement announcement
	at           time.Time
}

// Listen begins to listen, with the rights of an operator. The caller calls Close.
func Listen(nc *nats.Conn) (*Listener, error) {
	l := &Listener{began: time.Now(), first: make(chan struct{}), heard: map[string]map[string]heard{}}
	filterRefusals(nc, "Subscription", subjects+">", func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused = err
		l.once.Do(func() { close(l.first) })
	})
	var err error
	if l.subscription, err = nc.Subscribe(subjects+">", l.hear); err != nil {
		return nil, fmt.Errorf("subscribe to %s>: %w", subjects, err)
	}
	return l, nil
}

// Close ends the listening.
func (l *Listener) Close() { _ = l.subscription.Unsubscribe() }

// Heard reports whether every process that lived when Listen began has announced itself since: 1.4 s later.
func (l *Listener) Heard() bool { return time.Since(l.began) >= firstListen }

// Processes returns the live processes, by role, and what they measure. It waits until Heard, and up to 3.5 s after Listen for the first
// announcement. An error means that the server has refused the subscription. If the context ends first, the list is incomplete.
func (l *Listener) Processes(ctx context.Context) ([]Process, Figures, error) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(l.began.Add(firstListen))):
	}
	select {
	case <-ctx.Done():
	case <-l.first:
	case <-time.After(time.Until(l.began.Add(lifetime))):
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	live, all := []Process{}, newSum()
	if l.refused != nil {
		return live, all.figures(), l.refused
	}
	for _, role := range l.heard {
		forget(role, time.Now())
		for _, h := range role {
			live = append(live, h.announcement.Process)
			all.add(h.announcement.Role, h.announcement.Measured)
		}
	}
	slices.SortFunc(live, compare)
	return live, all.figures(), nil
}

// hear takes one announcement. What is none is ignored, and so is one too many of its role.
func (l *Listener) hear(msg *nats.Msg) {
	var a announcement
	if len(msg.Data) > maxBody || json.Unmarshal(msg.Data, &a) != nil || a.ID == "" {
		return
	}
	a.Role = strings.TrimPrefix(msg.Subject, subjects)
	l.mu.Lock()
	defer l.mu.Unlock()
	role := l.heard[msg.Subject]
	if role == nil {
		role = map[string]heard{}
		l.heard[msg.Subject] = role
	}
	if len(role) >= maxProcesses {
		forget(role, time.Now())
	}
	_, known := role[a.ID]
	switch {
	case a.Ended:
		delete(role, a.ID)
	case known || len(role) < maxProcesses:
		role[a.ID] = heard{a, time.Now()}
		l.once.Do(func() { close(l.first) })
	}
}

// forget drops the processes that have been silent for too long.
func forget(role map[string]heard, now time.Time) {
	for id, h := range role {
		if now.Sub(h.at) > lifetime {
			delete(role, id)
		}
	}
}
