package systemtest

import (
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/streams"
)

// The size of the command log and the memory limit fit each other: serve creates a log that fits, refuses one that does not, and warns
// about one that exists.
func TestTheLogFitsIntoMemory(t *testing.T) {
	t.Parallel()
	const memory = 600 << 20
	dir := t.TempDir()
	serve := func(limit string, flags ...string) *testcluster.Process {
		return testcluster.ClienteleWith(t, []string{"GOMEMLIMIT=" + limit}, "serve", append([]string{"--data-dir", dir}, flags...)...)
	}
	maxBytes := func(p *testcluster.Process) int64 {
		p.Ready()
		log, err := testcluster.JetStream(t, p.NATSURL()).Stream(t.Context(), domain.StreamCommands)
		if err != nil {
			t.Fatal(err)
		}
		return log.CachedInfo().Config.MaxBytes
	}

	refused := serve("600MiB", "--log-max-bytes=2147483648")
	const figures = "a full log of 2147483648 bytes needs 2304 MiB of memory, mostly for its index, of 600 MiB: set at most 360710144 bytes"
	if status := refused.Wait(); status != cli.ExitUsage || !strings.Contains(refused.Output(), figures) {
		t.Errorf("exit status %d: %s", status, refused.Output())
	}
	small := serve("600MiB")
	if n := maxBytes(small); streams.MemoryFor(n) != memory {
		t.Errorf("a new log has %d bytes", n)
	}
	small.Stop()
	const warning = "the command log can outgrow the memory"
	if strings.Contains(small.Output(), warning) {
		t.Error("it warns about a log that fits")
	}
	smaller := serve("500MiB")
	if n := maxBytes(smaller); streams.MemoryFor(n) != memory || !strings.Contains(smaller.Output(), warning) {
		t.Errorf("an existing log has %d bytes, and the output is %s", n, smaller.Output())
	}
	smaller.Stop()
	fits := serve("500MiB", "--log-max-bytes=134217728")
	if n := maxBytes(fits); n != 128<<20 || strings.Contains(fits.Output(), warning) {
		t.Errorf("a log that fits has %d bytes, and the output is %s", n, fits.Output())
	}
	fits.Stop()
}
