//go:build faults

package faulttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/store/storetest"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// cluster is the part of a system that has three nats-servers and two PostgreSQL servers, each on its own host.
type cluster struct {
	synchronous bool // the standby
	standby     *storetest.PostgresServer
	hosts       map[*storetest.PostgresServer]*testcluster.Host
	lost        int           // rows that failovers lost
	slowest     time.Duration // until they were back
}

// streams are the streams that the roles use.
var streams = []string{domain.StreamCommands, domain.StreamEvents, domain.StreamRejections}

// newCluster returns a system of two ingresses, two workers, three nats-servers with this number of replicas, and PostgreSQL with a
// standby. Each has a host of its own.
func newCluster(t testing.TB, program string, synchronous bool, replicas int) *system {
	t.Helper()
	network := testcluster.NewNetwork(t)
	hosts := []*testcluster.Host{network.Host(), network.Host(), network.Host()}
	authority := testcluster.NewAuthority(t)
	authority.Issue("server", hosts[0].Address, hosts[1].Address, hosts[2].Address)
	servers := testcluster.StartNATSClusterOn(t, hosts, map[string]string{"/etc/clientele/tls": authority.Dir}).Servers

	primaryHost, standbyHost := network.Host(), network.Host()
	primary := storetest.StartPostgresOn(t, primaryHost.ForPostgres())
	standby := primary.AsynchronousStandbyOn(t, standbyHost.ForPostgres())
	if synchronous {
		primary.Synchronise(t)
	}
	s := &system{
		t: t, program: program, callers: 8, servers: servers, postgres: primary,
		natsURL:     strings.Join([]string{servers[0].URL, servers[1].URL, servers[2].URL}, ","),
		databaseURL: primary.URLWith(standby) + "&target_session_attrs=read-write&connect_timeout=5",
		cluster: &cluster{
			synchronous: synchronous, standby: standby,
			hosts: map[*storetest.PostgresServer]*testcluster.Host{primary: primaryHost, standby: standbyHost},
		},
	}
	s.migrate(fmt.Sprint("--replicas=", replicas))
	for i := range 2 {
		host := network.Host()
		s.apis = append(s.apis, "http://"+host.Address+":8080")
		s.join(host, fmt.Sprint("ingress ", i), "ingress", "--listen="+host.Address+":8080", "--insecure-no-auth",
			"--nats-url="+s.natsURL, "--database-url="+s.databaseURL)
		s.join(network.Host(), fmt.Sprint("worker ", i), "worker", "--history=30s",
			"--nats-url="+s.natsURL, "--database-url="+s.databaseURL)
	}
	return s
}

// natsHosts returns the hosts of the nats-servers except those with these numbers.
func (s *system) natsHosts(except ...int) []*testcluster.Host {
	var hosts []*testcluster.Host
	for i, server := range s.servers {
		if !slices.Contains(except, i) {
			hosts = append(hosts, server.Host)
		}
	}
	return hosts
}

// leader returns the number of the server that leads a stream, or, for "", the consumer of the workers. If none does, it draws one.
func (s *system) leader(stream string, rng *rand.Rand) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	drawn, name := rng.IntN(len(s.servers)), ""
	if stream == "" {
		if c, err := s.js.Consumer(ctx, domain.StreamCommands, domain.ConsumerWorker); err == nil {
			name = c.CachedInfo().Cluster.Leader
		}
	} else if info, err := s.js.Stream(ctx, stream); err == nil {
		name = info.CachedInfo().Cluster.Leader
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(name, "nats-")); err == nil {
		return n - 1
	}
	return drawn
}

// replicated waits until every nats-server has all messages that it should have. It reports whether that happens in time.
func (s *system) replicated() bool {
	return s.cluster == nil || testcluster.Within(time.Minute, func() bool {
		for _, server := range s.servers {
			r, err := testcluster.TryGet("http://" + server.Host.Address + ":8222/healthz")
			if err != nil || r.Status != http.StatusOK {
				return false
			}
		}
		for _, name := range streams {
			if !s.current(name) {
				return false
			}
		}
		return true
	})
}

// current reports whether a stream has a leader, and its other replicas are current.
func (s *system) current(name string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	stream, err := s.js.Stream(ctx, name)
	if err != nil || stream.CachedInfo().Cluster.Leader == "" {
		return false
	}
	for _, replica := range stream.CachedInfo().Cluster.Replicas {
		if !replica.Current || replica.Offline {
			return false
		}
	}
	return true
}

// restoreTime bounds the time until rows are back that a failover lost.
const restoreTime = 40 * time.Second

// awaitRows waits until every event has a row, which a failover may have lost.
func (s *system) awaitRows(violation violationFunc) {
	var missing []*jetstream.RawStreamMsg
	if !testcluster.Within(restoreTime, func() bool {
		var err error
		missing, err = s.missingRows()
		return err == nil && len(missing) == 0
	}) {
		violation("10: %d events have no row", len(missing))
	}
	for _, event := range missing {
		violation("10: client %s has no row, and an event at %d, published at %s", event.Header.Get("ce-subject"), event.Sequence, event.Time)
	}
}

// missingRows returns the events whose clients have no row.
func (s *system) missingRows() ([]*jetstream.RawStreamMsg, error) {
	events, err := messages(s.js, domain.StreamEvents)
	if err != nil {
		return nil, err
	}
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	rows := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		rows[id] = true
	}
	var missing []*jetstream.RawStreamMsg
	for _, event := range events {
		if id, err := uuid.Parse(event.Header.Get("ce-subject")); err != nil || !rows[id] {
			missing = append(missing, event)
		}
	}
	return missing, nil
}

// restored returns the number of rows that the workers stored again.
func (s *system) restored() int {
	sum := 0
	for _, m := range s.of("worker") {
		for _, p := range m.outputs {
			for _, match := range restoredRows.FindAllStringSubmatch(p.Output(), -1) {
				n, err := strconv.Atoi(match[1])
				if err != nil {
					s.t.Error(err)
				}
				sum += n
			}
		}
	}
	return sum
}

var restoredRows = regexp.MustCompile(`"clients":(\d+).*the database had lost clients`)
