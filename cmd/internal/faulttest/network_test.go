//go:build faults

package faulttest

import (
	"math/rand/v2"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
)

// proxies are between Clientele and its servers.
type proxies struct{ ingressNATS, workerNATS, postgres *testcluster.Proxy }

func startProxies(t testing.TB, nats, postgres string) proxies {
	t.Helper()
	return proxies{testcluster.NewProxy(t, nats), testcluster.NewProxy(t, nats), testcluster.NewProxy(t, postgres)}
}

// networkFaults hit the connections of a role to a server.
func networkFaults() []fault {
	var faults []fault
	for _, place := range []struct {
		name string
		find func(*system) *testcluster.Proxy
	}{
		{"ingress to nats-server", func(s *system) *testcluster.Proxy { return s.proxies.ingressNATS }},
		{"worker to nats-server", func(s *system) *testcluster.Proxy { return s.proxies.workerNATS }},
		{"Clientele to postgres", func(s *system) *testcluster.Proxy { return s.proxies.postgres }},
	} {
		for _, outage := range []struct {
			name   string
			inject func(*testcluster.Proxy)
		}{
			{"answers lost", (*testcluster.Proxy).LoseAnswers}, // a PubAck, or the result of a COMMIT
			{"connections reset", (*testcluster.Proxy).Reset},
			{"half-open", (*testcluster.Proxy).Lose},
			{"2 s of latency", func(p *testcluster.Proxy) { p.Delay(2 * time.Second) }},
			{"connections refused", (*testcluster.Proxy).Cut},
		} {
			faults = append(faults, always(outage.name+", "+place.name, func(s *system, rng *rand.Rand) time.Time {
				p := place.find(s)
				outage.inject(p)
				<-time.After(aWhile(rng))
				p.Heal()
				return time.Now()
			}))
		}
	}
	return faults
}
