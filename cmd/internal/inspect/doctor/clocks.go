package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"clientele/cmd/internal/inspect"
	"clientele/domain"
)

// The difference from which on clocks disagree, and from which on times of clients and events mislead.
const (
	clockOff      = time.Second
	clockUnusable = time.Minute
)

// clock is what a server said about the time between two times of this machine.
type clock struct {
	name            string
	asked, answered time.Time
	says            time.Time
}

// off returns the least difference between the clock and this machine's.
func (c clock) off() time.Duration {
	switch {
	case c.says.Before(c.asked):
		return c.says.Sub(c.asked)
	case c.says.After(c.answered):
		return c.says.Sub(c.answered)
	}
	return 0
}

// clocks compares the clocks of the servers with that of this machine.
func clocks(_ context.Context, v *visit) []inspect.Finding {
	if v.Stopped {
		return nil
	}
	var all []clock
	if log := v.streams[domain.StreamCommands]; log != nil && !log.TimeStamp.IsZero() {
		all = append(all, clock{"NATS", v.askedNATS, v.answeredNATS, log.TimeStamp})
	}
	if !v.description.Now.IsZero() {
		all = append(all, clock{"the database", v.askedDatabase, v.answeredDatabase, v.description.Now})
	}
	for _, s := range v.servers {
		all = append(all, clock{s.Name, s.Asked, s.Answered, s.Now})
	}
	return judgeClocks(all)
}

func judgeClocks(all []clock) (found []inspect.Finding) {
	const do = "Run a time service, such as chrony, on every machine"
	names := make([]string, 0, len(all))
	for _, c := range all {
		names = append(names, c.name)
		off := c.off()
		text := fmt.Sprintf("the clock of %s is %s off", c.name, off.Abs().Round(100*time.Millisecond))
		switch {
		case off.Abs() > clockUnusable:
			found = append(found, fail(text, do, inspect.SeeServers))
		case off.Abs() > clockOff:
			found = append(found, warn(text, do, inspect.SeeServers))
		}
	}
	switch {
	case len(found) > 0:
		return found
	case len(all) == 0:
		return []inspect.Finding{warn("no server reported its time", "Look at the other findings", seeStatus)}
	}
	return []inspect.Finding{ok("within a second of this machine's clock: %s", strings.Join(names, ", "))}
}
