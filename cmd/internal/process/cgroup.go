package process

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// groupMemory returns the least memory limit in bytes of the control groups of a process and the groups around them, or 0 without one.
// groups is the content of /proc/self/cgroup, and mounted is /sys/fs/cgroup, of version 1 or 2. In a container without a namespace for
// control groups, the path of a group is that on the host, and its own group is mounted as the root.
func groupMemory(mounted fs.FS, groups string) (least int64) {
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		root, file := ".", "memory.max"
		if fields[0] != "0" {
			if !slices.Contains(strings.Split(fields[1], ","), "memory") {
				continue
			}
			root, file = "memory", "memory.limit_in_bytes"
		}
		for group := path.Join("/", fields[2]); ; group = path.Dir(group) {
			text, err := fs.ReadFile(mounted, path.Join(root, group, file))
			limit, parsed := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // version 2 has "max" for none
			if err == nil && parsed == nil && (least == 0 || limit < least) {
				least = limit
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}
