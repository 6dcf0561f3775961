//go:build faults

package faulttest

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"

	"golang.org/x/sys/unix"
)

// disk is an ext4 file system in a file, mounted over a loop device. It can lose its power.
type disk struct {
	t           testing.TB
	image, path string
}

func newDisk(t testing.TB, megabytes int64) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("mounting a disk that can fail requires root: run this as root, on Linux")
	}
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "image"), path: t.TempDir()}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, megabytes<<20); err != nil {
		t.Fatal(err)
	}
	d.run("mkfs.ext4", "-q", "-F", d.image)
	d.mount()
	t.Cleanup(func() { _ = exec.Command("umount", d.path).Run() })
	return d
}

func (d *disk) run(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %v: %v: %s (requires root on Linux, a loop device and e2fsprogs)", name, args, err, out)
	}
}

func (d *disk) mount()   { d.t.Helper(); d.run("mount", "-o", "loop", d.image, d.path) }
func (d *disk) unmount() { d.t.Helper(); d.run("umount", d.path) }

// What EXT4_IOC_SHUTDOWN (linux/fs/ext4/ext4.h) does with data that is not synced.
const (
	keepUnsynced = 0 // EXT4_GOING_FLAGS_DEFAULT
	loseUnsynced = 2 // EXT4_GOING_FLAGS_NOLOGFLUSH
)

// die ends all writing at once. Every later call fails.
func (d *disk) die(unsynced int) {
	d.t.Helper()
	const ext4Shutdown = 0x8004587d
	dir, err := os.Open(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), ext4Shutdown, unsynced); err != nil {
		d.t.Fatal("EXT4_IOC_SHUTDOWN: ", err)
	}
}

// repair is a power cycle.
func (d *disk) repair() {
	d.t.Helper()
	d.unmount()
	d.mount()
}

// TestPowerLoss cuts the power under load several times, and checks that nothing accepted is lost. Builds that do not sync show that
// the power loss is real.
func TestPowerLoss(t *testing.T) {
	t.Run("unchanged", func(t *testing.T) {
		const losses = 3
		h, violations := losePower(t, build(t, "clientele-faults"), losses)
		t.Logf("%d power losses, %d requests accepted, %d violations", losses, h.answers[accepted202], len(violations))
		(&run{violations: violations}).fail(t)
	})
	for _, c := range []struct {
		name    string
		patches []patch
	}{
		{"log not synced", []patch{{"cmd/internal/embedded/nats.go", "opts.SyncAlways = true", "opts.SyncAlways = false"}}},
		// The follower would store the lost clients again.
		{"database not synced", []patch{
			{"store/sqlite/sqlite.go", "_synchronous=FULL", "_synchronous=OFF"},
			{"cmd/internal/app/worker.go", `p.Go(ctx, "follower", follower.Run)`, `_ = follower`},
		}},
	} {
		t.Run("control: "+c.name, func(t *testing.T) {
			h, violations := losePower(t, build(t, "clientele-control-"+strings.ReplaceAll(c.name, " ", "-"), c.patches...), 1)
			if len(violations) == 0 {
				t.Fatal("the suite does not detect it")
			}
			t.Logf("%d requests accepted, detected: %d violations, such as %.300s", h.answers[accepted202], len(violations), violations[0])
		})
	}
}

func losePower(t *testing.T, program string, times int) (h *history, violations []string) {
	t.Helper()
	d := newDisk(t, 512)
	seed := firstSeed(t)
	t.Logf("seed %d", seed)
	h = newHistory(seed)
	rng := rand.New(rand.NewPCG(h.seed, 0))
	open := func() (*system, error) {
		s := newEmbedded(t, program, d.path, "--log-max-bytes=67108864")
		return s, s.open(h)
	}
	// The set-up is on disk before the first power loss, in every build.
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	s.close()
	s.members[0].proc.Stop()
	unix.Sync()
	for range times {
		s, err := open()
		if err != nil {
			return h, append(violations, "serve does not start again: "+err.Error())
		}
		ctx, cancel := context.WithCancel(context.Background())
		wait := h.callers(ctx, s.apis, s.callers)
		<-time.After(3*time.Second + time.Duration(rng.IntN(3000))*time.Millisecond)
		// The power is lost under load, and before the process closes the database, which would sync it. The process is stopped
		// first, because a machine without power sends no answers, and ext4 lets an fsync succeed that is under way at a shutdown.
		s.members[0].proc.Signal(syscall.SIGSTOP)
		d.die(loseUnsynced)
		s.members[0].proc.Kill()
		cancel()
		wait()
		s.close()
		d.repair()
	}
	if s, err = open(); err != nil {
		return h, append(violations, "serve does not start again: "+err.Error())
	}
	defer func() { s.close(); s.members[0].proc.Kill(); _ = exec.Command("umount", d.path).Run() }()
	return h, s.checkAll(h)
}

// TestDisk fills the disk of a running serve, or makes every call on it fail. serve must end with a line that says why. After the
// repair, it processes everything that was accepted.
func TestDisk(t *testing.T) {
	program := build(t, "clientele-faults")
	for _, c := range []struct {
		name         string
		fail, repair func(d *disk)
	}{
		{
			"full",
			func(d *disk) { fillDisk(d.t, filepath.Join(d.path, "ballast")) },
			func(d *disk) { _ = os.Remove(filepath.Join(d.path, "ballast")) },
		},
		{"failing", func(d *disk) { d.die(keepUnsynced) }, (*disk).repair},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDisk(t, 256)
			h := newHistory(1)
			s := newEmbedded(t, program, d.path, "--log-max-bytes=67108864")
			if err := s.open(h); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			wait := h.callers(ctx, s.apis, s.callers)
			<-time.After(2 * time.Second)
			c.fail(d)
			failed := time.Now()
			p := s.members[0].proc
			if !testcluster.Within(time.Minute, p.Ended) {
				t.Fatal("serve does not end")
			}
			ended := time.Since(failed)
			cancel()
			wait()
			s.close()
			last := lastLine(p.Output())
			t.Logf("ended after %.1f s: %s", ended.Seconds(), last)
			if p.Wait() != cli.ExitError || !strings.HasPrefix(last, "clientele: ") {
				t.Errorf("exit status %d, last line %q", p.Wait(), last)
			}
			again := s.members[0].start()
			if status := again.Wait(); status != cli.ExitError {
				t.Errorf("started without its disk: exit status %d", status)
			}
			t.Log("without its disk: " + lastLine(again.Output()))
			c.repair(d)
			if err := s.open(h); err != nil {
				t.Fatal(err)
			}
			violations := s.checkAll(h)
			(&run{violations: violations}).fail(t)
			s.members[0].proc.Signal(syscall.SIGTERM)
			s.members[0].proc.Wait()
			s.close()
			t.Logf("%d requests accepted, %d violations", h.answers[accepted202], len(violations))
		})
	}
}

func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return lines[len(lines)-1]
}

// fillDisk writes a file until the disk is full.
func fillDisk(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}
