package presence

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Config configures Announce.
type Config struct {
	// Conn is the connection of the process.
	Conn *nats.Conn
	// Role is one of the constants.
	Role    string
	Version string
	// Ready reports whether the process can do its work, and if not, why not. It is called every second.
	Ready func(context.Context) (ready bool, reasons []string)
	// Metrics are those that the process measures. They are read every second, so no reading asks a server.
	Metrics prometheus.Gatherer
	Log     zerolog.Logger
}

// announcement is the body of a message. An ended process has no other members than its id.
type announcement struct {
	Process
	Measured measured `json:"measured,omitzero"`
	Ended    bool     `json:"ended,omitzero"`
}

// announcer announces a process.
type announcer struct {
	Config

	window window // of the goroutine that announces

	mu           sync.Mutex
	announcement announcement
	resumes      time.Time // after a refusal; zero if there was none
	ended        bool
}

// Announce announces a process until the context ends, and then that it has ended. What cannot be sent is lost: the next announcement
// follows.
func Announce(ctx context.Context, cfg Config) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	a := &announcer{Config: cfg, announcement: announcement{Process: Process{
		Role: cfg.Role, ID: uuid.NewString(), Version: shorten(cfg.Version), Host: shorten(host),
		Started: time.Now().UTC().Truncate(time.Second),
	}}}
	a.measure()
	filterRefusals(cfg.Conn, "Publish", subjects+cfg.Role, a.wasRefused)
	a.refresh(ctx)
	var refreshing sync.WaitGroup
	refreshing.Go(func() {
		every(ctx, interval, func() {
			if a.refresh(ctx) {
				a.publish()
			}
		})
	})
	every(ctx, interval, func() {
		a.measure()
		a.publish()
	})
	refreshing.Wait()
	a.end()
}

// every calls f at once, and again after each interval until the context ends.
func every(ctx context.Context, interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// refresh asks whether the process is ready, and reports whether that has changed. It can take long, and delays no announcement.
func (a *announcer) refresh(ctx context.Context) (changed bool) {
	ready, reasons := a.Ready(ctx)
	if ctx.Err() != nil {
		return false // the answer is about the context
	}
	short := slices.Clone(reasons[:min(len(reasons), maxReasons)])
	for i, reason := range short {
		short[i] = shorten(reason)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := &a.announcement.Process
	changed = p.Ready != ready || !slices.Equal(p.Reasons, short)
	p.Ready, p.Reasons = ready, short
	return changed
}

// measure reads the metrics.
func (a *announcer) measure() {
	m := a.window.measure(gather(a.Metrics, time.Now()))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.announcement.Measured = m
}

// publish sends one announcement.
func (a *announcer) publish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.send(a.announcement)
}

// end announces that the process has ended.
func (a *announcer) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	a.send(announcement{Process: Process{ID: a.announcement.ID}, Ended: true})
}

// send requires the lock.
func (a *announcer) send(body announcement) {
	if time.Now().Before(a.resumes) {
		return
	}
	if body, err := json.Marshal(body); err == nil {
		_ = a.Conn.Publish(subjects+a.Role, body)
	}
}

// wasRefused is called when the server has refused an announcement. The process works nevertheless. After the end it reports nothing: the
// last words of a process say why it has ended.
func (a *announcer) wasRefused(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.resumes.IsZero() && !a.ended {
		a.Log.Warn().Err(err).Msg("status and doctor cannot show this process: load accounts.conf of this version")
	}
	a.resumes = time.Now().Add(refusedPause)
}

// filterRefusals calls refused for each violation of a right to this subject, in place of the connection's own handler of errors: a
// missing right would end a process that starts, or a command of an operator.
func filterRefusals(nc *nats.Conn, action, subject string, refused func(error)) {
	next := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		switch {
		case errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), action+` to "`+subject+`"`):
			refused(err)
		case next != nil:
			next(nc, sub, err)
		}
	})
}

// shorten returns valid text of one line and of at most maxText characters.
func shorten(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if utf8.RuneCountInString(text) <= maxText {
		return text
	}
	return string([]rune(text)[:maxText-1]) + "…"
}
