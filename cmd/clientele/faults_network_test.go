//go:build faults

package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

// proxies are what stands between Clientele and its servers.
type proxies struct{ ingressNATS, workerNATS, postgres *proxy }

func startProxies(t testing.TB, nats, postgres string) proxies {
	t.Helper()
	return proxies{newProxy(t, nats), newProxy(t, nats), newProxy(t, postgres)}
}

// networkFaults befall the connections of a role to a server.
func networkFaults() []fault {
	var faults []fault
	for _, place := range []struct {
		name string
		find func(*stage) *proxy
	}{
		{"ingress to nats-server", func(s *stage) *proxy { return s.proxies.ingressNATS }},
		{"worker to nats-server", func(s *stage) *proxy { return s.proxies.workerNATS }},
		{"Clientele to postgres", func(s *stage) *proxy { return s.proxies.postgres }},
	} {
		for _, weather := range []struct {
			name  string
			bring func(*proxy)
		}{
			{"answers lost", (*proxy).loseAnswers}, // a PubAck, or what a COMMIT came to
			{"connections reset", (*proxy).reset},
			{"half-open", (*proxy).lose},
			{"2 s of latency", func(p *proxy) { p.delay(2 * time.Second) }},
			{"connections refused", (*proxy).cut},
		} {
			faults = append(faults, always(weather.name+", "+place.name, func(s *stage, rng *rand.Rand) time.Time {
				p := place.find(s)
				weather.bring(p)
				<-time.After(aWhile(rng))
				p.heal()
				return time.Now()
			}))
		}
	}
	return faults
}
