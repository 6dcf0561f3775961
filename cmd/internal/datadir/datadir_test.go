package datadir_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"clientele/cmd/internal/datadir"
	"clientele/publisher/publishertest"

	"github.com/rs/zerolog"
)

// TestDiskIsFull and TestDiskIsFullAtTheStart of package faulttest fill a disk.
func TestReserve(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data")
	dir, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	occupied := func() int64 {
		info, err := os.Stat(filepath.Join(path, "reserve"))
		if err != nil {
			return 0
		}
		return info.Sys().(*syscall.Stat_t).Blocks * 512
	}
	if occupied() == 0 {
		t.Error("no space is reserved")
	}
	if dir.Full() {
		t.Error("the disk is full")
	}
	if err := os.Remove(filepath.Join(path, "reserve")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); dir.Run(ctx, zerolog.Nop()) }()
	publishertest.Eventually(t, "the reserve exists again", func() bool { return occupied() > 0 })
	cancel()
	<-done
}

func TestADirectoryHasOneProcess(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	first, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = datadir.Open(path)
	if _, ok := errors.AsType[*datadir.InUseError](err); !ok {
		t.Errorf("a second process: %v", err)
	}
	first.Close()
	second, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}
