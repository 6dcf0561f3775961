//go:build faults

package faulttest

import (
	"math/rand/v2"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
)

// proxies are what stands between Clientele and its servers.
type proxies struct{ ingressNATS, workerNATS, postgres *testcluster.Proxy }

func startProxies(t testing.TB, nats, postgres string) proxies {
	t.Helper()
	return proxies{testcluster.NewProxy(t, nats), testcluster.NewProxy(t, nats), testcluster.NewProxy(t, postgres)}
}

// networkFaults befall the connections of a role to a server.
func networkFaults() []fault {
	var faults []fault
	for _, place := range []struct {
		name string
		find func(*stage) *testcluster.Proxy
	}{
		{"ingress to nats-server", func(s *stage) *testcluster.Proxy { return s.proxies.ingressNATS }},
		{"worker to nats-server", func(s *stage) *testcluster.Proxy { return s.proxies.workerNATS }},
		{"Clientele to postgres", func(s *stage) *testcluster.Proxy { return s.proxies.postgres }},
	} {
		for _, weather := range []struct {
			name  string
			bring func(*testcluster.Proxy)
		}{
			{"answers lost", (*testcluster.Proxy).LoseAnswers}, // a PubAck, or what a COMMIT came to
			{"connections reset", (*testcluster.Proxy).Reset},
			{"half-open", (*testcluster.Proxy).Lose},
			{"2 s of latency", func(p *testcluster.Proxy) { p.Delay(2 * time.Second) }},
			{"connections refused", (*testcluster.Proxy).Cut},
		} {
			faults = append(faults, always(weather.name+", "+place.name, func(s *stage, rng *rand.Rand) time.Time {
				p := place.find(s)
				weather.bring(p)
				<-time.After(aWhile(rng))
				p.Heal()
				return time.Now()
			}))
		}
	}
	return faults
}
