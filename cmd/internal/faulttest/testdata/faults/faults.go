// Package faults is compiled into the builds of the fault suite, and into no other: see patch_test.go.
package faults

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	killAt  = os.Getenv("CLIENTELE_FAULTS_KILL_AT") // point:n
	clock   = os.Getenv("CLIENTELE_FAULTS_CLOCK")   // a file with a duration in it
	reached atomic.Int64
)

// Reached kills this process, as kill -9 does, when it has come to its point for the nth time.
func Reached(point string) {
	at, times, _ := strings.Cut(killAt, ":")
	if at != point {
		return
	}
	n, err := strconv.ParseInt(times, 10, 64)
	if err != nil {
		panic(err)
	}
	if reached.Add(1) == n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until it has arrived
	}
}

// Now is the time on this process's clock, which the suite steps to and fro.
func Now() time.Time {
	step, err := os.ReadFile(clock)
	if err != nil || len(step) == 0 {
		return time.Now()
	}
	d, err := time.ParseDuration(string(step))
	if err != nil {
		panic(err)
	}
	return time.Now().Add(d)
}
