package storetest

import "syscall"

// endWithParent has the kernel end the child when this process dies, even when it is killed: SIGQUIT is PostgreSQL's
// immediate shutdown.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
