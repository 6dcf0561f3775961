package systemtest

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
)

// On a terminal, status --watch draws the screen again, in colour, and ends with status 0.
func TestStatusRedrawsATerminal(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	keyboard, screen := testcluster.Terminal(t)
	var drawn testcluster.LockedBuffer
	go func() { _, _ = io.Copy(&drawn, keyboard) }()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		args := append([]string{"status", "--watch", "--interval=100ms"}, s.Flags...)
		ended <- cli.Run(ctx, args, func(string) string { return "" }, strings.NewReader(""), screen, os.Stderr)
	}()
	publishertest.Eventually(t, "the screen is drawn three times", func() bool { return strings.Count(drawn.String(), "\x1b[H") >= 3 })
	cancel()
	if status := <-ended; status != cli.ExitOK {
		t.Errorf("exit status %d", status)
	}
	second := strings.Split(drawn.String(), "\x1b[H")[2]
	if !strings.Contains(second, "\x1b[33mwarn\x1b[0m  workers  no worker fetches commands\x1b[K") || !strings.Contains(second, "\x1b[J") {
		t.Errorf("%q", second)
	}
}
