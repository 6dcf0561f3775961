package systemtest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/inspect/doctor"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"

	"github.com/go-json-experiment/json"
)

// doctorOf runs doctor --json with these flags, and returns what is not ok, by name.
func doctorOf(t *testing.T, flags ...string) (status int, found map[string]inspect.Finding) {
	t.Helper()
	status, stdout, stderr := testcluster.RunLine(t, append([]string{"doctor", "--json"}, flags...)...)
	var r doctor.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v: %d, %s%s", err, status, stdout, stderr)
	}
	found = map[string]inspect.Finding{}
	for _, f := range r.Checks {
		if f.Result != inspect.OK && f.Name != "disk" { // the disk of the test may be slow
			found[f.Name] = f
		}
	}
	return status, found
}

// doctorFinds is doctorOf, and checks which checks are not ok. It tries three times: a process without a processor announces itself late.
func doctorFinds(t *testing.T, want map[string]inspect.Health, flags ...string) (status int, found map[string]inspect.Finding) {
	t.Helper()
	for range 3 {
		status, found = doctorOf(t, flags...)
		if maps.EqualFunc(found, want, func(f inspect.Finding, want inspect.Health) bool { return f.Result == want }) {
			return status, found
		}
	}
	wantFindings(t, found, want)
	return status, found
}

// wantFindings checks which checks are not ok.
func wantFindings(t *testing.T, found map[string]inspect.Finding, want map[string]inspect.Health) {
	t.Helper()
	for name, f := range found {
		if want[name] != f.Result {
			t.Errorf("%+v, want %q", f, want[name])
		}
	}
	for name := range want {
		if _, ok := found[name]; !ok {
			t.Errorf("%s is ok, want %s", name, want[name])
		}
	}
}

// monitor returns the flags for the monitoring port of a server.
func monitor(s *testcluster.NATSServer) []string {
	return []string{"--nats-monitor", "http://" + s.Says(`Starting http monitor on (\S+)`)}
}

// TestDoctor runs doctor with the operator's rights of deploy. The certificates of tests expire within an hour.
func TestDoctor(t *testing.T) {
	t.Parallel()
	f := testcluster.NewSecured(t)
	worker := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	worker.Ready()
	operator := f.Flags("operator", "operator")
	status, _ := doctorFinds(t, map[string]inspect.Health{
		"NATS sync": inspect.Warn, "staging": inspect.Warn, "memory": inspect.Warn, "certificates": inspect.Fail,
	}, operator...)
	if status != cli.ExitUnhealthy {
		t.Errorf("%d", status)
	}
	_, found := doctorFinds(t, map[string]inspect.Health{"staging": inspect.Warn, "memory": inspect.Warn, "certificates": inspect.Fail},
		slices.Concat(operator, monitor(f.NATS))...)
	if !strings.Contains(found["memory"].Found, "GOMEMLIMIT") {
		t.Errorf("%+v", found["memory"])
	}
	// Nothing is left behind.
	for _, s := range func() []inspect.Stream { _, s, _ := statusOf(t, operator); return s.Streams }() {
		if s.Messages > 0 && s.Name != "CLIENT_AUDIT" { // which has the migration
			t.Errorf("%s has %d messages", s.Name, s.Messages)
		}
	}
	// With the credentials of others, doctor says what it cannot do.
	_, found = doctorOf(t, f.Flags("worker", "worker")...)
	for name, want := range map[string]string{"NATS": "use the operator's credentials", "database rights": "DELETE on clients"} {
		if !strings.Contains(found[name].Found, want) {
			t.Errorf("%s: %+v, want %s", name, found[name], want)
		}
	}
}

// TestDoctorFindsABrokenSetUp breaks the servers in every way that needs one.
func TestDoctorFindsABrokenSetUp(t *testing.T) {
	t.Parallel()
	f := testcluster.NewSecuredWith(t,
		map[string]string{"sync_interval: always": "sync_interval: 2m"},
		map[string]string{
			"accounts {":                      "system_account: SYS\naccounts {\n  SYS: {users: [{user: admin, password: " + testcluster.Password + "}]}",
			"            \"client.erased\"\n": "",
		})
	f.SQL(`ALTER SYSTEM SET fsync = off`)
	f.SQL(`SELECT pg_reload_conf()`)
	_, found := doctorOf(t, append(f.Flags("operator", "worker"), "--nats-system-url", f.NatsFlags("admin")[1])...)
	wantFindings(t, found, map[string]inspect.Health{
		"NATS sync": inspect.Fail, "NATS rights": inspect.Warn, "staging": inspect.Warn, "memory": inspect.Warn, "certificates": inspect.Fail,
		"database": inspect.Fail, "database rights": inspect.Warn, "status": inspect.Warn, "processes": inspect.Warn,
	})
	for name, want := range map[string]string{
		"NATS sync": "does not sync every write", "NATS rights": "client.erased", "database": "fsync = off", "status": "no worker fetches",
	} {
		if !strings.Contains(found[name].Found, want) {
			t.Errorf("%s: %+v, want %s", name, found[name], want)
		}
	}
}

// TestDoctorOfThreeServers asks the servers of a cluster, and finds one that keeps the only copy.
func TestDoctorOfThreeServers(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, 3)
	r.clientele("worker", 3)
	flags := r.flags("operator", 3)
	for _, s := range r.servers[:2] {
		flags = append(flags, monitor(s)...)
	}
	_, found := doctorFinds(t, map[string]inspect.Health{"NATS version": inspect.Warn, "NATS sync": inspect.Warn, "memory": inspect.Warn}, flags...)
	if !strings.HasSuffix(found["NATS sync"].Found, ": nats-3") {
		t.Errorf("%+v", found["NATS sync"])
	}
	flags = append(flags, monitor(r.servers[2])...)
	doctorFinds(t, map[string]inspect.Health{"memory": inspect.Warn}, flags...)
	publishertest.Eventually(t, "one server keeps the streams", func() bool { // a leader may be elected
		return testcluster.Clientele(t, "migrate", append(r.flags("operator", 3), "--replicas=1")...).Wait() == 0
	})
	_, found = doctorOf(t, flags...)
	if f := found["replicas"]; f.Result != inspect.Warn || !strings.Contains(f.Found, "only one keeps the streams") {
		t.Errorf("%+v", f)
	}
}
