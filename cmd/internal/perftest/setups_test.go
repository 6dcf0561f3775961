//go:build bench

package perftest

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"
	"clientele/store/storetest"
)

// start starts a set-up with a clientele. Before it starts the roles, it calls prepare with the migrated store, unless prepare is nil.
type start func(t *testing.T, program string, prepare func(store.Store)) running

// running is a Clientele that runs in its own processes.
type running struct {
	api, nats string
	processes map[string]*testcluster.Process
	postgres  int // the process id, or 0
}

// processorTime returns the processor time that each kind of process has used.
func (r running) processorTime(t *testing.T) map[string]time.Duration {
	used := map[string]time.Duration{"PostgreSQL": processorTimeOf(t, r.postgres)}
	for name, p := range r.processes {
		used[strings.TrimRight(name, "-123")] += processorTimeOf(t, p.PID())
	}
	return used
}

func (r running) stop() {
	for _, role := range []string{"ingress", "worker", "serve"} {
		if p := r.processes[role]; p != nil {
			p.Stop()
		}
	}
}

// startSeparate starts separate processes, with batches staged in memory.
func startSeparate(t *testing.T, program string, prepare func(store.Store)) running {
	server := testcluster.StartNATSServer(t)
	r := startRoles(t, program, prepare, 1, server.URL, func() { publishertest.StageInMemory(t, server.Data) })
	r.processes["nats-server"] = server.Process
	return r
}

// startUnstaged starts separate processes, with batches staged on disk: the default of nats-server.
func startUnstaged(t *testing.T, program string, prepare func(store.Store)) running {
	server := testcluster.StartNATSServer(t)
	r := startRoles(t, program, prepare, 1, server.URL, func() {})
	r.processes["nats-server"] = server.Process
	return r
}

// startReplicated starts separate processes, with three NATS servers.
func startReplicated(t *testing.T, program string, prepare func(store.Store)) running {
	authority := testcluster.NewAuthority(t)
	authority.Issue("server")
	cluster := testcluster.StartNATSCluster(t, map[string]string{"/etc/clientele/tls": authority.Dir})
	publishertest.Eventually(t, "a leader", func() bool {
		_, err := testcluster.JetStream(t, cluster.Servers[0].URL).AccountInfo(t.Context())
		return err == nil
	})
	r := startRoles(t, program, prepare, 3, cluster.Servers[0].URL, func() {})
	for i, server := range cluster.Servers {
		r.processes[fmt.Sprint("nats-server-", i+1)] = server.Process
	}
	return r
}

// startRoles starts a worker and an ingress with a new database. It calls migrated when NATS has the streams.
func startRoles(t *testing.T, program string, prepare func(store.Store), replicas int, natsURL string, migrated func()) running {
	server := storetest.StartPostgres(t)
	flags := []string{"--nats-url", natsURL, "--database-url", server.URL()}
	migrate := append([]string{"--replicas=" + strconv.Itoa(replicas)}, flags...)
	if status := testcluster.ClienteleOf(t, program, nil, "migrate", migrate...).Wait(); status != 0 {
		t.Fatalf("migrate: exit status %d", status)
	}
	migrated()
	if prepare != nil {
		clients, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL()})
		if err != nil {
			t.Fatal(err)
		}
		prepare(clients)
		_ = clients.Close()
	}
	worker, ingress := testcluster.ClienteleOf(t, program, nil, "worker", flags...), testcluster.ClienteleOf(t, program, nil, "ingress", flags...)
	worker.Ready()
	ingress.Ready()
	return running{ingress.API(), natsURL, map[string]*testcluster.Process{"ingress": ingress, "worker": worker}, server.Pid()}
}

// startEmbedded starts serve.
func startEmbedded(t *testing.T, program string, prepare func(store.Store)) running {
	dir := t.TempDir()
	serve := testcluster.ClienteleOf(t, program, nil, "serve", "--data-dir", dir)
	serve.Ready()
	if prepare != nil {
		serve.Stop()
		clients, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "clientele.db")})
		if err != nil {
			t.Fatal(err)
		}
		prepare(clients)
		_ = clients.Close()
		serve = testcluster.ClienteleOf(t, program, nil, "serve", "--data-dir", dir)
		serve.Ready()
	}
	return running{serve.API(), serve.NATSURL(), map[string]*testcluster.Process{"serve": serve}, 0}
}
