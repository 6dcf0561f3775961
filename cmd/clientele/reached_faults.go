//go:build faults

package main

import (
	"os"
	"syscall"

	"clientele/consumer"
)

// reached returns a hook that kills this process, as kill -9 does, when it comes to the point that the environment names.
func reached() func(consumer.Point) {
	at := consumer.Point(os.Getenv("CLIENTELE_FAULTS_KILL_AT"))
	return func(p consumer.Point) {
		if p == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it has arrived
		}
	}
}
