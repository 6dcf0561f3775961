package process_test

import (
	"testing"
	"testing/fstest"

	"clientele/cmd/internal/process"
)

func TestGroupMemory(t *testing.T) {
	t.Parallel()
	const version1 = "9:name=systemd:/\n4:cpu,memory:/outer/inner\n0::/\n"
	for _, c := range []struct {
		name   string
		groups string
		files  map[string]string
		want   int64
	}{
		{"no control groups", "", nil, 0},
		{"version 2 without a limit", "0::/system.slice/clientele.service\n", map[string]string{"system.slice/clientele.service/memory.max": "max\n"}, 0},
		{"version 2, a service", "0::/system.slice/clientele.service\n", map[string]string{
			"system.slice/clientele.service/memory.max": "300\n", "system.slice/memory.max": "max\n",
		}, 300},
		{"version 2, less for the group around it", "0::/pod/container\n", map[string]string{
			"pod/container/memory.max": "300\n", "pod/memory.max": "200\n",
		}, 200},
		{"version 2, a container", "0::/\n", map[string]string{"memory.max": "100\n"}, 100},
		{"version 1", version1, map[string]string{
			"memory/outer/inner/memory.limit_in_bytes": "300\n", "memory/memory.limit_in_bytes": "9223372036854771712\n", "memory.max": "",
		}, 300},
		{"version 1, a container", version1, map[string]string{"memory/memory.limit_in_bytes": "100\n"}, 100},
	} {
		files := fstest.MapFS{}
		for name, content := range c.files {
			files[name] = &fstest.MapFile{Data: []byte(content)}
		}
		if got := process.GroupMemory(files, c.groups); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
