package consumer

import (
	"math/rand/v2"
	"slices"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// After newerDelay to twice that, the server delivers a command again that this worker left to a newer one. A fixed delay could be a
	// multiple of idleFetch: then the request of this worker would always be the first.
	newerDelay = 3 * time.Second
	// newerInterval is the minimum interval of log lines about such commands.
	newerInterval = time.Minute
)

// leaveNewer returns the commands that this worker can judge. It returns those that were accepted under newer rules to the log, for a
// newer worker: to reject them would blame the caller for what an ingress has accepted.
func (p processor) leaveNewer(msgs []jetstream.Msg) []jetstream.Msg {
	known := slices.DeleteFunc(slices.Clone(msgs), func(msg jetstream.Msg) bool {
		newer := domain.CommandMessage{Header: msg.Headers()}.IsNewer()
		if newer {
			_ = msg.NakWithDelay(newerDelay + rand.N(newerDelay)) // else the server redelivers it only after ackWait
		}
		return newer
	})
	if left := len(msgs) - len(known); left > 0 {
		p.metrics.newer.Add(float64(left))
		p.newer.Do(func() {
			p.log.Warn().Int("commands", left).Int("rules", domain.Rules).
				Msg("left commands to a newer worker, because they were accepted under newer rules; they wait on the log")
		})
	}
	return known
}
