package consumer

import (
	"math/rand/v2"
	"slices"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

const (
	// After newerDelay to twice that, the server delivers a command again that this worker left to a newer one. A fixed delay could be a
	// multiple of idleFetch: then the request of this worker would always be the first.
	newerDelay = 3 * time.Second
	// newerInterval is the minimum interval of log lines about such commands.
	newerInterval = time.Minute
)

// newerRules returns commands that were accepted under newer rules to the log, for a newer worker: to reject them would blame the caller
// for what an ingress has accepted.
type newerRules struct {
	log   zerolog.Logger
	total prometheus.Counter
	line  *rate.Sometimes
}

func newNewerRules(log zerolog.Logger, total prometheus.Counter) newerRules {
	return newerRules{log: log, total: total, line: &rate.Sometimes{Interval: newerInterval}}
}

// leave returns the commands that this worker can judge.
func (n newerRules) leave(msgs []jetstream.Msg) []jetstream.Msg {
	known := slices.DeleteFunc(slices.Clone(msgs), func(msg jetstream.Msg) bool {
		newer := domain.CommandMessage{Header: msg.Headers()}.IsNewer()
		if newer {
			_ = msg.NakWithDelay(newerDelay + rand.N(newerDelay)) // else the server redelivers it only after ackWait
		}
		return newer
	})
	if left := len(msgs) - len(known); left > 0 {
		n.total.Add(float64(left))
		n.line.Do(func() {
			n.log.Warn().Int("commands", left).Int("rules", domain.Rules).
				Msg("left commands to a newer worker, because they were accepted under newer rules; they wait on the log")
		})
	}
	return known
}
