package testcluster

import (
	"os"

	"golang.org/x/sys/unix"
)

func setNetwork(namespace *os.File) error { return unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET) }
