package process

import "syscall"

// machineMemory returns the memory of the machine in bytes, or 0. A service with ProcSubset=pid cannot read /proc/meminfo.
func machineMemory() int64 {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}
