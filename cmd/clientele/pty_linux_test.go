package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"
)

// terminal opens a terminal; keyboard is where a person would type.
func terminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	var locked, number int32
	for request, argument := range map[uintptr]*int32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, keyboard.Fd(), request, uintptr(unsafe.Pointer(argument))); errno != 0 {
			t.Fatal(errno)
		}
	}
	screen, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return keyboard, screen
}

// typing calls f once it has been shown something that ends in a question.
type typing struct {
	bytes.Buffer

	mu sync.Mutex
	f  func()
}

func (w *typing) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.Buffer.Write(b)
	if bytes.HasSuffix(w.Bytes(), []byte("[y/N] ")) {
		w.f()
	}
	return n, err
}

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
		{"drop", "drop", "yes\n", "Drop 2 rejected commands for good? This deletes the clients' data and cannot be undone. [y/N] ", "dropped 2, skipped 0\n", false},
		{"no drop", "drop", "yesterday\n", "Drop 2 rejected commands for good? This deletes the clients' data and cannot be undone. [y/N] ", "nothing was dropped\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newOffice(t)
			d.rejected("a", "b")
			keyboard, screen := terminal(t)
			stderr := &typing{f: func() {
				if _, err := keyboard.WriteString(c.typed); err != nil {
					t.Error(err)
				}
			}}
			var stdout bytes.Buffer
			status := run(t.Context(), []string{"rejections", c.command, "--all", "--nats-url", d.url}, screen, &stdout, stderr)
			if status != exitOK || stdout.String() != "unstorable: 2\n"+c.says || stderr.String() != c.question {
				t.Errorf("exit status %d: %q %q", status, stdout.String(), stderr.String())
			}
			if got := d.ids(); (len(got) == 2) != c.left {
				t.Errorf("rejections of %v", got)
			}
		})
	}
}

// The answer is for what was counted, not for what comes while the question is open: not even under the same id.
func TestWhatComesAfterTheQuestionStays(t *testing.T) {
	t.Parallel()
	for _, which := range [][]string{{"--all"}, {"a", "b"}} {
		d := newOffice(t)
		d.rejected("a", "b")
		keyboard, screen := terminal(t)
		stderr := &typing{f: func() {
			d.rejected("b", "c")
			if _, err := keyboard.WriteString("y\n"); err != nil {
				t.Error(err)
			}
		}}
		var stdout bytes.Buffer
		status := run(t.Context(), append([]string{"rejections", "drop", "--nats-url", d.url}, which...), screen, &stdout, stderr)
		if status != exitOK || stdout.String() != "unstorable: 2\ndropped 1, skipped 0\n" || !slices.Equal(d.ids(), []string{"b", "c"}) {
			t.Errorf("%v: exit status %d: %q %q; rejections of %v", which, status, stdout.String(), stderr.String(), d.ids())
		}
	}
}

func TestAQuestionIsInterrupted(t *testing.T) {
	t.Parallel()
	d := newOffice(t)
	d.rejected("a", "b")
	_, screen := terminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &typing{f: cancel}
	var stdout bytes.Buffer
	status := run(ctx, []string{"rejections", "drop", "--all", "--nats-url", d.url}, screen, &stdout, stderr)
	if status != exitError || !strings.HasSuffix(stderr.String(), "\nclientele: interrupted: nothing was dropped\n") || len(d.ids()) != 2 {
		t.Errorf("exit status %d: %q %q; rejections of %v", status, stdout.String(), stderr.String(), d.ids())
	}
}

func TestNobodyAnswersAQuestion(t *testing.T) {
	t.Parallel()
	d := newOffice(t)
	d.rejected("a")
	keyboard, screen := terminal(t)
	stderr := &typing{f: func() {
		if _, err := keyboard.WriteString("\x04"); err != nil { // the end of what is typed
			t.Error(err)
		}
	}}
	var stdout bytes.Buffer
	status := run(t.Context(), []string{"rejections", "drop", "--all", "--nats-url", d.url}, screen, &stdout, stderr)
	if status != exitError || !strings.HasSuffix(stderr.String(), "\nclientele: no answer on standard input: give one, or --yes\n") || len(d.ids()) != 1 {
		t.Errorf("exit status %d: %q %q", status, stdout.String(), stderr.String())
	}
	if status, _, _ := runLine(t, "rejections", "drop", "--all", "-y", "--nats-url", d.url); status != exitOK || len(d.ids()) != 0 {
		t.Errorf("with -y: exit status %d, rejections of %v", status, d.ids())
	}
}

func TestEraseAndReplayOnlyOnAYes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := clientele(t, "serve", "--data-dir", dir)
	operation := accepted(t, serve.api(), jane, "")
	succeeded(t, serve.api(), operation)
	id := operation[strings.LastIndex(operation, "/")+1:]
	for _, c := range []struct {
		typed  string
		args   []string
		status int
		says   string
	}{
		{"n\n", []string{"events", "replay", "--since=1h"}, exitOK, "nothing was sent\n"},
		{"y\n", []string{"events", "replay", "--since=1h"}, exitOK, "events sent to every subscriber of client.created: 1\n"},
		{"n\n", []string{"erase", id}, exitOK, "nothing was erased\n"},
		{"", []string{"erase", id}, exitError, "clientele: interrupted: nothing was erased\n"},
		{"y\n", []string{"erase", id}, exitOK, "erased " + id + ": rows 1, commands 1, rejections 0, events 2; subscribers are told with client.erased\n"},
	} {
		keyboard, screen := terminal(t)
		ctx, interrupt := context.WithCancel(t.Context())
		stderr := &typing{f: func() {
			if c.typed == "" {
				interrupt()
			}
			if _, err := keyboard.WriteString(c.typed); err != nil {
				t.Error(err)
			}
		}}
		var stdout bytes.Buffer
		status := run(ctx, append(c.args, "--nats-url", serve.says(natsIsAt), "--data-dir", dir), screen, &stdout, stderr)
		if status != c.status || !strings.HasSuffix(stderr.String()+stdout.String(), c.says) {
			t.Errorf("%v %q: exit status %d: %q %q", c.args, c.typed, status, stdout.String(), stderr.String())
		}
		interrupt()
	}
}
