//go:build bench

package perftest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/store/storetest"

	"github.com/jackc/pgx/v5"
)

// factsOf describes the machine and the servers, on which the figures depend.
func factsOf(t *testing.T) string {
	conn, err := pgx.Connect(t.Context(), storetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	return fmt.Sprintf("%d cores, %s, PostgreSQL %s, nats-server %s, %s for a synced write of 4 KiB",
		runtime.NumCPU(), runtime.Version(), conn.PgConn().ParameterStatus("server_version"),
		testcluster.JetStream(t, testcluster.StartNATSServer(t).URL).Conn().ConnectedServerVersion(), syncTime(t).Round(time.Microsecond))
}

// syncTime returns the median time of a synced write of 4 KiB on the servers' disk.
func syncTime(t *testing.T) time.Duration {
	file, err := os.Create(filepath.Join(t.TempDir(), "sync"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	page := make([]byte, 4<<10)
	times := make([]time.Duration, 501)
	for i := range times {
		began := time.Now()
		if _, err := file.Write(page); err != nil {
			t.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			t.Fatal(err)
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// processorTimeOf returns the processor time of a process and its children, including those that have ended, or 0 for the process 0. The
// kernel's own threads, which write journals for example, are not counted.
func processorTimeOf(t *testing.T, pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	processes, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	ticks := 0
	for _, path := range processes {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The name of the program, in parentheses, may contain anything. The state and the parent follow it, and utime, stime, cutime and
		// cstime as the 12th to 15th field: see proc_pid_stat(5).
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if fields[1] != strconv.Itoa(pid) && path != fmt.Sprintf("/proc/%d/stat", pid) {
			continue
		}
		for _, field := range fields[11:15] {
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * (10 * time.Millisecond) // USER_HZ is 100 wherever Go runs
}
