// Package faults is compiled only into the builds of the fault suite: see patch_test.go.
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

// Reached kills this process, like kill -9, when it reaches its point for the nth time.
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
		select {} // until the signal arrives
	}
}

// Now returns the time of this process's clock, which the suite steps forward and back.
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
