package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"clientele/cmd/internal/presence"
)

// live adds the live processes and their figures, or why they cannot be seen. The first look does not wait until it has heard them.
func (l *Looker) live(ctx context.Context, s *Status) {
	s.Processes = []presence.Process{}
	if !l.looked && !l.processes.Heard() {
		return
	}
	found, figures, err := l.processes.Processes(ctx)
	if err != nil {
		s.ProcessesError = l.cfg.Explain(err).Error()
		return
	}
	s.Processes, s.Figures = found, &figures
}

// judgeProcesses finds roles with several versions, and processes that are not ready.
func judgeProcesses(s *Status) (found []Finding) {
	if s.ProcessesError != "" {
		found = append(found, Finding{"processes", Warn, s.ProcessesError, "Load deploy/nats/accounts.conf of this version", SeeUpgrade})
	}
	roles := map[string][]presence.Process{}
	for _, p := range s.Processes {
		roles[p.Role] = append(roles[p.Role], p)
	}
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		found = append(found, judgeRole(role, roles[role])...)
	}
	return found
}

func judgeRole(role string, all []presence.Process) (found []Finding) {
	versions, missing := make([]string, 0, len(all)), []string{}
	for _, p := range all {
		versions = append(versions, p.Version)
		if !p.Ready {
			missing = append(missing, p.Host+": "+strings.Join(p.Reasons, "; "))
		}
	}
	slices.Sort(versions)
	if versions = slices.Compact(versions); len(versions) > 1 {
		found = append(found, Finding{
			role, Warn, "processes of this role have different versions: " + strings.Join(versions, ", "), "Complete the upgrade, or the way back", SeeUpgrade,
		})
	}
	if len(missing) > 0 {
		found = append(found, Finding{
			role, Warn, fmt.Sprintf("%d of %d not ready, on %s", len(missing), len(all), missing[0]), "Start or repair what is missing", SeeNotReady,
		})
	}
	return found
}
