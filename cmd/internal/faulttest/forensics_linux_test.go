//go:build faults

package faulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// snapshotTime is the time after which each nats-server has taken a snapshot of a stream, and with it shortened its Raft log: the
// server draws an interval of 2 to 3 minutes for each stream (monitorStream in jetstream_cluster.go of nats-server).
const snapshotTime = 3 * time.Minute

// postgresDisk is the index of PostgreSQL's disk. The others are of nats-servers.
const postgresDisk = 3

// servers are the names of the servers, by disk.
var servers = []string{"nats-1", "nats-2", "nats-3", "PostgreSQL"}

// evidence is a client with a value of its own in each member. The number of the client, a digit, replaces #.
const evidence = `{"firstName": "ZqFirst#", "lastName": "ZqLast#", "emailAddress": "zqmail#@example.com", "title": "ZqTitle#",
	"middleName": "ZqMiddle#", "companyName": "ZqCompany#", "telephoneNumber": "+44791112398#", "altTelephoneNumber": "+44791112379#",
	"pronouns": "zqpronouns#", "avatarUrl": "https://example.com/zqavatar#", "dob": "196#-03-07", "nationality": "ZqNation#",
	"niNumber": "JX98765#A", "occupation": "ZqWork#", "address": {"line_1": "ZqLineOne#", "line_2": "ZqLineTwo#",
	"line_3": "ZqLineThree#", "post_town": "ZqTown#", "county": "ZqCounty#", "postcode": "ZQ# 2AB", "uprn": "98765432101#"}}`

// client is a client of the test.
type client struct {
	id, body, birth string
	values          []string // of all members
}

func newClient(number int) client {
	c := client{body: strings.ReplaceAll(evidence, "#", strconv.Itoa(number)), birth: fmt.Sprintf("196%d-03-07", number)}
	for _, value := range regexp.MustCompile(`: "([^"]+)"`).FindAllStringSubmatch(c.body, -1) {
		c.values = append(c.values, value[1])
	}
	return c
}

// count returns how often each value is in the content.
func (c client) count(content []byte) map[string]int {
	counts := map[string]int{}
	for _, value := range c.values {
		if n := bytes.Count(content, []byte(value)); n > 0 {
			counts[value] = n
		}
	}
	return counts
}

// scene is three nats-servers and a PostgreSQL server, each with its data on a disk of its own, with an ingress and a worker.
type scene struct {
	t        *testing.T
	nats     *testcluster.NATSCluster
	database *storetest.PostgresServer
	disks    []*disk // of the nats-servers, then of PostgreSQL
	flags    []string
	api      string
	clients  []client
}

// TestForensics erases clients, and searches the files and the raw disks of three nats-servers and of PostgreSQL for each of their values.
// The table in SECURITY.md says what it must find. With FORENSICS_BY=load it does not wait until the servers take snapshots, but puts
// load on them, so that they take them early.
func TestForensics(t *testing.T) {
	s := newScene(t)
	t.Run("PostgreSQL and three NATS servers", s.erasure)
	t.Run("a NATS server that was stopped", s.stoppedServer)
	t.Run("free blocks", s.freeBlocks)
}

func newScene(t *testing.T) *scene {
	t.Helper()
	authority := testcluster.NewAuthority(t)
	authority.Issue("server")
	s := &scene{t: t}
	var dirs []string
	for range servers {
		d := newDisk(t, 512) // smaller ones have blocks of 1 KiB, of which a loop device discards only four at once
		s.disks, dirs = append(s.disks, d), append(dirs, d.path)
	}
	// PostgreSQL does not run as root.
	if err := os.Chmod(filepath.Dir(dirs[postgresDisk]), 0o755); err != nil {
		t.Fatal(err)
	}
	s.database = storetest.StartPostgresIn(t, dirs[postgresDisk])
	s.nats = testcluster.StartNATSCluster(t, map[string]string{"/etc/clientele/tls": authority.Dir}, dirs[:3]...)
	var urls []string
	for _, server := range s.nats.Servers {
		urls = append(urls, server.URL)
	}
	s.flags = []string{"--nats-url", strings.Join(urls, ","), "--database-url", s.database.URL()}
	s.start()
	return s
}

// start migrates, starts the roles, and creates clients.
func (s *scene) start() {
	s.t.Helper()
	migrate := testcluster.Clientele(s.t, "migrate", append([]string{"--replicas=3", "--log-max-bytes=67108864"}, s.flags...)...)
	if status := migrate.Wait(); status != cli.ExitOK {
		s.t.Fatalf("migrate: exit status %d", status)
	}
	testcluster.Clientele(s.t, "worker", s.flags...).Ready()
	ingress := testcluster.Clientele(s.t, "ingress", s.flags...)
	ingress.Ready()
	s.api = ingress.API()
	for number := range 9 {
		s.clients = append(s.clients, s.create(s.t, number))
	}
}

// create creates a client.
func (s *scene) create(t *testing.T, number int) client {
	t.Helper()
	one := newClient(number)
	operation := testcluster.Accepted(t, s.api, one.body, "")
	testcluster.Succeeded(t, s.api, operation)
	one.id = path.Base(operation)
	return one
}

// erasure erases a client whose row is the last of its page, so that PostgreSQL does not use its space again.
func (s *scene) erasure(t *testing.T) {
	one := s.clients[len(s.clients)-1]
	s.sql(t, `ANALYZE clients`, `CHECKPOINT`)
	s.findAll(t, one)
	s.erase(t, one)
	found := s.search(t, "after the erasure", one)
	for i := range s.nats.Servers {
		found[i].want(t, "Raft logs")
	}
	s.sql(t, `VACUUM clients`, `CHECKPOINT`)
	s.search(t, "after VACUUM", one)[postgresDisk].want(t, "statistics", "table", "write-ahead log")
	s.sql(t, statements(t, "../../../deploy/postgres/after-erasure.sql")...)
	s.snapshots(t, one)
	for _, found := range s.search(t, "after the stated time", one) {
		found.want(t)
	}
}

// findAll checks that the files of each server have every value of the client. PostgreSQL stores a date as a number.
func (s *scene) findAll(t *testing.T, one client) {
	t.Helper()
	for i, found := range s.search(t, "before the erasure", one) {
		for _, value := range one.values {
			if found.values[value] == 0 && (i != postgresDisk || value != one.birth) {
				t.Errorf("%s does not have %q: the test checks nothing", found.server, value)
			}
		}
	}
}

// snapshots returns when each nats-server has taken a snapshot of each stream, and has nothing of the client in its files.
func (s *scene) snapshots(t *testing.T, one client) {
	t.Helper()
	began := time.Now()
	if os.Getenv("FORENSICS_BY") == "load" {
		s.load(t, one, s.disks[:postgresDisk])
	} else if !testcluster.Within(snapshotTime, func() bool { return !inRaftLogs(one, s.disks[:postgresDisk]) }) {
		t.Errorf("a Raft log has the client after %s", snapshotTime)
	}
	t.Logf("no Raft log has the client %.0f s after the erasure", time.Since(began).Seconds())
}

func inRaftLogs(one client, disks []*disk) bool {
	return slices.ContainsFunc(disks, func(d *disk) bool {
		return d.files(one, map[string]string{"/_js_/": "Raft logs"}).places["Raft logs"] > 0
	})
}

// load posts large clients until the Raft logs on the disks do not have a client. A server takes a snapshot early if its Raft log grows
// by 8 MiB. The log may be full meanwhile.
func (s *scene) load(t *testing.T, one client, disks []*disk) {
	t.Helper()
	large := strings.ReplaceAll(fmt.Sprintf(testcluster.MarkedClient, "Large"), "Zqmark", strings.Repeat("🦊", 200))
	for inRaftLogs(one, disks) {
		testcluster.Each(100, func(int) { testcluster.Post(t, s.api, large, "") })
	}
}

// current waits until each server has every message of each stream.
func (s *scene) current(t *testing.T) {
	t.Helper()
	for i, server := range s.nats.Servers {
		health := "http://" + server.Says(`Starting http monitor on (\S+)`) + "/healthz"
		publishertest.Eventually(t, servers[i]+" is current", func() bool {
			reply, err := testcluster.TryGet(health)
			return err == nil && reply.Status == http.StatusOK
		})
	}
}

// stoppedServer erases a client while a server is stopped. When the server starts again, the Raft logs of the others no longer have the
// erasure. From their snapshots it learns only that the messages are deleted, so it does not overwrite them.
func (s *scene) stoppedServer(t *testing.T) {
	one := s.clients[0]
	s.nats.Servers[2].Stop()
	s.erase(t, one)
	s.load(t, s.create(t, len(s.clients)), s.disks[:2])
	s.nats.Servers[2].Restart(s.t)
	s.current(t)
	s.search(t, "after nats-3 has caught up", one)[2].want(t, "streams")
	s.nats.Servers[2].Stop()
	if err := os.RemoveAll(filepath.Join(s.disks[2].path, "jetstream")); err != nil {
		t.Fatal(err)
	}
	s.nats.Servers[2].Restart(s.t)
	s.current(t)
	s.search(t, "after nats-3 has copied all", one)[2].want(t)
	if s.disks[2].files(s.clients[4], nil).values["ZqFirst4"] == 0 {
		t.Error("nats-3 has copied nothing")
	}
}

// freeBlocks shows that everything which remains is in free blocks: the image has nothing when the file system has discarded them. It stops
// the servers first, so that none frees a block later.
func (s *scene) freeBlocks(t *testing.T) {
	for _, server := range s.nats.Servers {
		server.Stop()
	}
	s.database.Stop(t, false)
	for i, d := range s.disks {
		d.repair()
		d.run("fstrim", d.path)
		erased, neighbour := d.raw(s.clients[len(s.clients)-1]), d.raw(s.clients[4])
		t.Logf("%-28s %-10s  %4d in the image, %d of a neighbour", "after fstrim", servers[i], erased, neighbour)
		if erased > 0 || neighbour == 0 {
			t.Errorf("%s: want none, and some of the neighbour: correct SECURITY.md", servers[i])
		}
	}
}

// erase runs clientele erase. The worker may have to acknowledge the command first.
func (s *scene) erase(t *testing.T, one client) {
	t.Helper()
	publishertest.Eventually(t, "the client is erased", func() bool {
		status, _, stderr := testcluster.RunLine(t, append([]string{"erase", "--yes", one.id}, s.flags...)...)
		if status != cli.ExitOK && !strings.Contains(stderr, "is pending: nothing was erased") {
			t.Log(stderr)
		}
		return status == cli.ExitOK
	})
}

// sql runs statements, each in a transaction of its own.
func (s *scene) sql(t *testing.T, statements ...string) {
	t.Helper()
	conn := s.connect(t)
	defer conn.Close(context.Background())
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// connect returns a connection of the superuser.
func (s *scene) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.database.URL())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// statements returns the statements of a file. Each begins on a line of its own and ends with one.
func statements(t *testing.T, file string) []string {
	t.Helper()
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^(DO \$\$(?s:.*?)^\$\$|[A-Z].*);$`).FindAllString(string(script), -1)
}

// search searches every disk for the client, and prints a row of the table for each.
func (s *scene) search(t *testing.T, moment string, one client) (all []findings) {
	t.Helper()
	parts := s.parts(t)
	for i, d := range s.disks {
		found := d.files(one, parts)
		found.server, found.moment, found.raw = servers[i], moment, d.raw(one)
		t.Logf("%-28s %-10s  %4d in the image; in files: %v", moment, found.server, found.raw, found.places)
		all = append(all, found)
	}
	return all
}

// parts returns a part of the path of each file that may have clients, and what the file is for.
func (s *scene) parts(t *testing.T) map[string]string {
	t.Helper()
	var clients, statistics string
	conn := s.connect(t)
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), `SELECT pg_relation_filepath('clients'), pg_relation_filepath('pg_statistic')`).Scan(&clients, &statistics); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"/_js_/": "Raft logs", "/streams/": "streams", "/pg_wal/": "write-ahead log", clients: "table", statistics: "statistics",
	}
}

// findings are where a client is on a disk.
type findings struct {
	moment, server string
	values         map[string]int // the number of each value in files
	places         map[string]int // the number of values in the files of each kind
	raw            int            // the number of values in the image of the disk
}

// want checks the kinds of files that have the client.
func (f findings) want(t *testing.T, places ...string) {
	t.Helper()
	if found := slices.Sorted(maps.Keys(f.places)); !slices.Equal(found, places) {
		t.Errorf("%s: %s has the client in %v, want %v: correct SECURITY.md", f.moment, f.server, found, places)
	}
}

// files searches the files of the disk.
func (d *disk) files(one client, parts map[string]string) findings {
	d.t.Helper()
	found := findings{values: map[string]int{}, places: map[string]int{}}
	err := filepath.WalkDir(d.path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return ignoreMissing(err)
		}
		content, err := os.ReadFile(path)
		for value, n := range one.count(content) {
			found.values[value] += n
			found.places[place(path, parts)] += n
		}
		return ignoreMissing(err)
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return found
}

// ignoreMissing returns nil for a file that its server has replaced or removed meanwhile.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// place returns what a file is for.
func place(path string, parts map[string]string) string {
	for part, is := range parts {
		if strings.Contains(path, part) {
			return is
		}
	}
	return path
}

// raw searches the image of the disk.
func (d *disk) raw(one client) (n int) {
	d.t.Helper()
	d.sync()
	image, err := os.ReadFile(d.image)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, found := range one.count(image) {
		n += found
	}
	return n
}

// sync writes everything that the file system has in memory to the image.
func (d *disk) sync() {
	d.t.Helper()
	dir, err := os.Open(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		d.t.Fatal(err)
	}
}
