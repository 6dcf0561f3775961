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
	"clientele/cmd/internal/datadir"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"

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

// TestDisk makes every call on the disk of a running serve fail. serve must end with a line that says why. After the repair, it
// processes everything that was accepted.
func TestDisk(t *testing.T) {
	s, h := newDiskSystem(t)
	stop := s.load(h)
	<-time.After(2 * time.Second)
	s.disk.die(keepUnsynced)
	failed := time.Now()
	p := s.members[0].proc
	if !testcluster.Within(time.Minute, p.Ended) {
		t.Fatal("serve does not end")
	}
	ended := time.Since(failed)
	stop()
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
	s.disk.repair()
	s.mustOpen(h)
	s.finish(h)
}

// TestDiskIsFull fills the disk of a serve under load. serve must go on, and refuse new commands until the disk has room.
func TestDiskIsFull(t *testing.T) {
	s, h := newDiskSystem(t)
	stop := s.load(h)
	for range 3 {
		s.becomes(h, accepted202, h.count(accepted202)+s.callers)
		s.fillDisk(16 << 20)
		s.becomes(h, refused503, h.count(refused503)+s.callers)
		if !s.drained() {
			t.Error("with an almost full disk, commands are not processed")
		}
		s.fillDisk(0)
		s.becomes(h, refused503, h.count(refused503)+s.callers)
		s.freeDisk()
	}
	s.becomes(h, accepted202, h.count(accepted202)+s.callers)
	stop()
	if s.members[0].proc.Ended() {
		t.Fatal("serve has ended")
	}
	s.finish(h)
}

// TestDiskIsFullAtTheStart starts serve and migrate on a full disk, with commands on the log. serve refuses new ones, finishes those that
// it has accepted, and removes what is finished. It accepts commands again when the disk has room.
func TestDiskIsFullAtTheStart(t *testing.T) {
	s, h := newDiskSystem(t)
	stop := s.load(h)
	s.becomes(h, accepted202, 500)
	s.members[0].proc.Signal(syscall.SIGSTOP) // with commands in progress
	s.fillDisk(0)
	s.members[0].proc.Kill()
	stop()
	s.close()
	migrate := testcluster.Start(t, s.program, "migrate", "--data-dir="+s.dir, "--event-max-bytes=67108864")
	if status := migrate.Wait(); status != cli.ExitOK {
		t.Errorf("migrate: exit status %d: %s", status, lastLine(migrate.Output()))
	}
	s.free("after migrate")
	s.mustOpen(h)
	claim := h.claim("", false)
	refused := func(when string) {
		t.Helper()
		if a, _, reply := h.post(s.apis[0], claim); a != refused503 || !strings.Contains(reply, "/problems/log-full") {
			t.Errorf("%s, a new command is answered with %s", when, reply)
		}
	}
	refused("with a full disk")
	if !s.drained() {
		t.Error("with a full disk, commands are not processed")
	}
	for _, v := range s.checkOperations(h) {
		t.Error(v)
	}
	if !testcluster.Within(time.Minute, func() bool {
		log, err := s.js.Stream(t.Context(), domain.StreamCommands)
		return err == nil && log.CachedInfo().State.Msgs == 0
	}) {
		t.Error("with a full disk, finished commands are not removed")
	}
	s.free("when all is finished")
	refused("when all is finished")
	s.freeDisk()
	s.becomes(h, accepted202, h.count(accepted202), func() { h.send(s.apis[0], claim) })
	if !testcluster.Within(time.Minute, func() bool { _, err := os.Stat(filepath.Join(s.dir, "reserve")); return err == nil }) {
		t.Error("the reserve does not exist again")
	}
	s.fillDisk(16 << 20)
	claim = h.claim("", false)
	refused("with an almost full disk")
	s.freeDisk()
	s.finish(h)
}

func newDiskSystem(t *testing.T) (*diskSystem, *history) {
	t.Helper()
	d := newDisk(t, 512)
	h := newHistory(1)
	s := &diskSystem{newEmbedded(t, build(t, "clientele-faults"), d.path, "--log-max-bytes=67108864", "--history=1h"), d}
	s.mustOpen(h)
	return s, h
}

// diskSystem is a serve on a disk.
type diskSystem struct {
	*system

	disk *disk
}

func (s *diskSystem) mustOpen(h *history) {
	s.t.Helper()
	if err := s.open(h); err != nil {
		s.t.Fatal(err)
	}
}

// load posts until stop is called.
func (s *diskSystem) load(h *history) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	wait := h.callers(ctx, s.apis, s.callers)
	return func() { cancel(); wait() }
}

// becomes waits until more than n requests have this answer, and calls each function meanwhile.
func (s *diskSystem) becomes(h *history, a answer, n int, each ...func()) {
	s.t.Helper()
	if !testcluster.Within(20*time.Second, func() bool {
		for _, f := range each {
			f()
		}
		return h.count(a) > n
	}) {
		s.t.Fatalf("%q is not the answer of %d requests", a, n)
	}
}

func (s *diskSystem) ballast() string { return filepath.Join(s.disk.path, "ballast") }

// fillDisk writes a file until this many bytes are free.
func (s *diskSystem) fillDisk(left int64) {
	s.t.Helper()
	fillDisk(s.t, s.ballast(), left)
	s.free("filled")
}

// freeDisk removes the file of fillDisk.
func (s *diskSystem) freeDisk() {
	s.t.Helper()
	if err := os.Remove(s.ballast()); err != nil {
		s.t.Fatal(err)
	}
}

// free prints how much space is free.
func (s *diskSystem) free(when string) {
	n, _, err := datadir.Disk(s.dir)
	s.t.Logf("%s: %.1f MiB are free (%v)", when, float64(n)/(1<<20), err)
}

// finish checks all outcomes, and stops the system.
func (s *diskSystem) finish(h *history) {
	s.t.Helper()
	violations := s.checkAll(h)
	for _, v := range violations[:min(len(violations), 20)] {
		s.t.Error(v)
	}
	s.members[0].proc.Signal(syscall.SIGTERM)
	s.members[0].proc.Wait()
	s.close()
	s.t.Logf("answers %v, %d violations", h.answers, len(violations))
}

func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return lines[len(lines)-1]
}

// fillDisk writes a file until this many bytes are free on its disk.
func fillDisk(t testing.TB, path string, left int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if left > 0 {
		free, _, err := datadir.Disk(filepath.Dir(path))
		if err == nil {
			err = unix.Fallocate(int(f.Fd()), 0, 0, free-left)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}
