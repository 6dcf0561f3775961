//go:build faults

package faulttest

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"clientele/cmd/internal/testcluster"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// checkReplicas checks that each nats-server has the same messages. They must be healthy.
func (s *system) checkReplicas(violation violationFunc) {
	if s.cluster == nil {
		return
	}
	var states []map[string]state
	if !s.replicated() || !testcluster.Within(20*time.Second, func() bool {
		states = s.states()
		return states != nil && equal(states[0], states[1]) && equal(states[0], states[2])
	}) {
		violation("11: the replicas do not agree: %v", states)
		return
	}
	for _, name := range streams {
		var copies []copyOf
		var first uint64 // what precedes it may have been trimmed in the meantime
		for _, server := range s.servers {
			c, err := readFrom(server.URL, name)
			if err != nil {
				violation("11: %s has no copy of %s: %v", server.URL, name, err)
				return
			}
			if len(c) > 0 {
				first = max(first, slices.Min(slices.Collect(maps.Keys(c))))
			}
			copies = append(copies, c)
		}
		for _, c := range copies {
			maps.DeleteFunc(c, func(sequence uint64, _ [sha256.Size]byte) bool { return sequence < first })
		}
		for i, c := range copies[1:] {
			if !maps.Equal(c, copies[0]) {
				violation("11: server %d has %d messages of %s from %d on, and server 1 has %d, or others", i+2, len(c), name, first, len(copies[0]))
			}
		}
	}
}

// state is what a server reports of its replica of a stream.
type state struct {
	Messages   uint64 `json:"messages"`
	FirstSeq   uint64 `json:"first_seq"`
	LastSeq    uint64 `json:"last_seq"`
	NumDeleted int    `json:"num_deleted"`
}

// states returns the state of each stream at each server, or nil if one does not answer.
func (s *system) states() []map[string]state {
	var all []map[string]state
	for _, server := range s.servers {
		r, err := testcluster.TryGet("http://" + server.Host.Address + ":8222/jsz?accounts=true&streams=true")
		if err != nil {
			return nil
		}
		var report struct {
			Accounts []struct {
				Streams []struct {
					Name  string `json:"name"`
					State state  `json:"state"`
				} `json:"stream_detail"`
			} `json:"account_details"`
		}
		if err := json.Unmarshal([]byte(r.Body), &report); err != nil {
			return nil
		}
		states := map[string]state{}
		for _, account := range report.Accounts {
			for _, stream := range account.Streams {
				if slices.Contains(streams, stream.Name) {
					states[stream.Name] = stream.State
				}
			}
		}
		all = append(all, states)
	}
	return all
}

func equal(a, b map[string]state) bool {
	for _, name := range streams {
		_, exists := a[name]
		if !exists || a[name] != b[name] {
			return false
		}
	}
	return true
}

// copyOf is a replica: the hash of each message, by sequence.
type copyOf map[uint64][sha256.Size]byte

// readFrom reads the replica of one server: a server answers the direct gets of its own clients.
func readFrom(server, stream string) (copyOf, error) {
	nc, err := nats.Connect(server, nats.IgnoreDiscoveredServers(), nats.NoReconnect(), nats.Timeout(testcluster.Patience))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	msgs, err := messages(js, stream)
	if err != nil {
		return nil, err
	}
	c := copyOf{}
	for _, msg := range msgs {
		c[msg.Sequence] = sha256.Sum256(fmt.Append(nil, msg.Subject, msg.Header, msg.Time.UnixNano(), msg.Data))
	}
	return c, nil
}
