package testcluster

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
)

// LockedBuffer is a buffer that several goroutines may use.
type LockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *LockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *LockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// RunLine runs a command that ends, in this process.
func RunLine(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return RunLineWith(t, strings.NewReader(""), args...)
}

// RunLineWith is RunLine with standard input.
func RunLineWith(t *testing.T, stdin io.Reader, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	// The context has no deadline, like that of a process.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	defer time.AfterFunc(2*time.Minute, cancel).Stop()
	status = cli.Run(ctx, args, os.Getenv, stdin, &out, &errs)
	if ctx.Err() != nil {
		t.Fatalf("%v: did not end: %s%s", args, out.String(), errs.String())
	}
	return status, out.String(), errs.String()
}
