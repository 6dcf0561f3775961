//go:build !linux

package storetest

import "syscall"

// endWithParent does nothing: only Linux can tell a child of its parent's death. Main is what stops the server here.
func endWithParent(*syscall.SysProcAttr) {}
