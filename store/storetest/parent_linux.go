package storetest

import "syscall"

// endWithParent makes the kernel stop the child when this process dies, even if it is killed. SIGQUIT is PostgreSQL's immediate
// shutdown.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
