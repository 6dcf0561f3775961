//go:build !linux

package storetest

import "syscall"

// endWithParent does nothing: only Linux can signal a child at its parent's death. Elsewhere only Main stops the server.
func endWithParent(*syscall.SysProcAttr) {}
