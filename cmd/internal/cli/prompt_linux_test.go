package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
)

func TestRejectionsAreRetriedAndDroppedOnlyOnAYes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, command, typed, question, says string
		left                                 bool
	}{
		{"retry", "retry", "y\n", "Retry 2 rejected commands? [y/N] ", "retried 2, skipped 0\n", false},
		{"retry in full", "retry", " YES \n", "Retry 2 rejected commands? [y/N] ", "retried 2, skipped 0\n", false},
		{"no retry", "retry", "n\n", "Retry 2 rejected commands? [y/N] ", "nothing was retried\n", true},
		{"return", "retry", "\n", "Retry 2 rejected commands? [y/N] ", "nothing was retried\n", true},
		{"drop", "drop", "yes\n", "Permanently drop 2 rejected commands? This deletes the clients' data and cannot be undone. [y/N] ", "dropped 2, skipped 0\n", false},
		{"no drop", "drop", "yesterday\n", "Permanently drop 2 rejected commands? This deletes the clients' data and cannot be undone. [y/N] ", "nothing was dropped\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRejectionsTest(t)
			r.rejected("a", "b")
			keyboard, screen := testcluster.Terminal(t)
			stderr := &testcluster.Typing{F: func() {
				if _, err := keyboard.WriteString(c.typed); err != nil {
					t.Error(err)
				}
			}}
			var stdout bytes.Buffer
			status := cli.Run(t.Context(), []string{"rejections", c.command, "--all", "--nats-url", r.url}, os.Getenv, screen, &stdout, stderr)
			if status != cli.ExitOK || stdout.String() != "unstorable: 2\n"+c.says || stderr.String() != c.question {
				t.Errorf("exit status %d: %q %q", status, stdout.String(), stderr.String())
			}
			if got := r.ids(); (len(got) == 2) != c.left {
				t.Errorf("rejections of %v", got)
			}
		})
	}
}

// The answer applies to the rejections that were counted, not to later ones, even under the same id.
func TestRejectionsAfterTheQuestionStay(t *testing.T) {
	t.Parallel()
	for _, which := range [][]string{{"--all"}, {"a", "b"}} {
		r := newRejectionsTest(t)
		r.rejected("a", "b")
		keyboard, screen := testcluster.Terminal(t)
		stderr := &testcluster.Typing{F: func() {
			r.rejected("b", "c")
			if _, err := keyboard.WriteString("y\n"); err != nil {
				t.Error(err)
			}
		}}
		var stdout bytes.Buffer
		status := cli.Run(t.Context(), append([]string{"rejections", "drop", "--nats-url", r.url}, which...), os.Getenv, screen, &stdout, stderr)
		if status != cli.ExitOK || stdout.String() != "unstorable: 2\ndropped 1, skipped 0\n" || !slices.Equal(r.ids(), []string{"b", "c"}) {
			t.Errorf("%v: exit status %d: %q %q; rejections of %v", which, status, stdout.String(), stderr.String(), r.ids())
		}
	}
}

func TestAQuestionIsInterrupted(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	r.rejected("a", "b")
	_, screen := testcluster.Terminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &testcluster.Typing{F: cancel}
	var stdout bytes.Buffer
	status := cli.Run(ctx, []string{"rejections", "drop", "--all", "--nats-url", r.url}, os.Getenv, screen, &stdout, stderr)
	if status != cli.ExitError || !strings.HasSuffix(stderr.String(), "\nclientele: interrupted: nothing was dropped\n") || len(r.ids()) != 2 {
		t.Errorf("exit status %d: %q %q; rejections of %v", status, stdout.String(), stderr.String(), r.ids())
	}
}

func TestNobodyAnswersAQuestion(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	r.rejected("a")
	keyboard, screen := testcluster.Terminal(t)
	stderr := &testcluster.Typing{F: func() {
		if _, err := keyboard.WriteString("\x04"); err != nil { // end of input
			t.Error(err)
		}
	}}
	var stdout bytes.Buffer
	status := cli.Run(t.Context(), []string{"rejections", "drop", "--all", "--nats-url", r.url}, os.Getenv, screen, &stdout, stderr)
	if status != cli.ExitError || !strings.HasSuffix(stderr.String(), "\nclientele: no answer on standard input: type y or n, or pass --yes\n") || len(r.ids()) != 1 {
		t.Errorf("exit status %d: %q %q", status, stdout.String(), stderr.String())
	}
	if status, _, _ := testcluster.RunLine(t, "rejections", "drop", "--all", "-y", "--nats-url", r.url); status != cli.ExitOK || len(r.ids()) != 0 {
		t.Errorf("with -y: exit status %d, rejections of %v", status, r.ids())
	}
}

func TestEraseAndReplayOnlyOnAYes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	testcluster.Succeeded(t, serve.API(), operation)
	id := operation[strings.LastIndex(operation, "/")+1:]
	for _, c := range []struct {
		typed  string
		args   []string
		status int
		says   string
	}{
		{"n\n", []string{"events", "replay", "--since=1h"}, cli.ExitOK, "nothing was published\n"},
		{"y\n", []string{"events", "replay", "--since=1h"}, cli.ExitOK, "events published to every subscriber of client.created: 1\n"},
		{"n\n", []string{"erase", id}, cli.ExitOK, "nothing was erased\n"},
		{"", []string{"erase", id}, cli.ExitError, "clientele: interrupted: nothing was erased\n"},
		{"y\n", []string{"erase", id}, cli.ExitOK, "erased " + id + ": rows 1, commands 1, rejections 0, events 2; published client.erased\n"},
	} {
		keyboard, screen := testcluster.Terminal(t)
		ctx, interrupt := context.WithCancel(t.Context())
		stderr := &testcluster.Typing{F: func() {
			if c.typed == "" {
				interrupt()
			}
			if _, err := keyboard.WriteString(c.typed); err != nil {
				t.Error(err)
			}
		}}
		var stdout bytes.Buffer
		status := cli.Run(ctx, append(c.args, "--nats-url", serve.NATSURL(), "--data-dir", dir), os.Getenv, screen, &stdout, stderr)
		if status != c.status || !strings.HasSuffix(stderr.String()+stdout.String(), c.says) {
			t.Errorf("%v %q: exit status %d: %q %q", c.args, c.typed, status, stdout.String(), stderr.String())
		}
		interrupt()
	}
}

// Before the first event, tail says on a terminal that it waits, unless it does not wait.
func TestTailSaysThatItWaits(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	for _, flags := range [][]string{nil, {"--no-follow"}} {
		keyboard, screen := testcluster.Terminal(t)
		ctx, cancel := context.WithCancel(t.Context())
		status := make(chan int, 1)
		go func() {
			defer screen.Close() // ends the read below
			status <- cli.Run(ctx, append([]string{"events", "tail", "--nats-url", r.url}, flags...), os.Getenv, strings.NewReader(""), io.Discard, screen)
		}()
		line, err := bufio.NewReader(keyboard).ReadString('\n')
		if waits := strings.HasPrefix(line, "waiting for events; press Ctrl+C to stop"); waits != (flags == nil) {
			t.Errorf("%v: %q (%v)", flags, line, err)
		}
		cancel()
		if got := <-status; got != cli.ExitOK {
			t.Errorf("%v: exit status %d", flags, got)
		}
	}
}
