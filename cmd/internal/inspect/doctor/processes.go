package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"clientele/cmd/internal/inspect"
)

// processes names the live processes by role and version. What is wrong with one of them is a problem of the status.
func processes(_ context.Context, v *visit) []inspect.Finding {
	if v.status.ProcessesError != "" {
		return []inspect.Finding{ok("not known from here")}
	}
	count := map[string]int{}
	for _, p := range v.status.Processes {
		count[p.Role+" "+p.Version]++
	}
	if len(count) == 0 {
		return []inspect.Finding{warn("no process announces itself", "Start Clientele. If it runs, load deploy/nats/accounts.conf of its version", inspect.SeeServers)}
	}
	all := make([]string, 0, len(count))
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		all = append(all, fmt.Sprintf("%d %s", count[kind], kind))
	}
	return []inspect.Finding{ok("%s", strings.Join(all, ", "))}
}
