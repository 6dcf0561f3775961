package doctor

import (
	"context"
	"fmt"

	"clientele/cmd/internal/inspect"
	"clientele/domain"
	"clientele/publisher/streams"
)

// memory compares the memory of the servers with what a full command log needs.
func memory(_ context.Context, v *visit) (found []inspect.Finding) {
	log := v.streams[domain.StreamCommands]
	if log == nil {
		return nil // a problem of the status
	}
	needed := streams.MemoryFor(log.Config.MaxBytes)
	text := fmt.Sprintf("a full log needs %d MiB", needed>>20)
	if v.ServeDir != "" {
		if err := streams.CheckMemory(log.Config.MaxBytes, v.Memory); err != nil {
			return []inspect.Finding{warn(err.Error(), "Lower --log-max-bytes, or give serve more memory", inspect.SeeSizes)}
		}
		return []inspect.Finding{ok("%s, and this machine has %d MiB", text, v.Memory>>20)}
	}
	for _, s := range v.servers {
		switch {
		case s.MemoryLimit == 0:
			found = append(found, warn(text+", and "+s.Name+" has no GOMEMLIMIT", fmt.Sprintf("Set GOMEMLIMIT=%dMiB for nats-server", needed>>20), inspect.SeeSizes))
		case s.MemoryLimit < needed:
			found = append(found, warn(fmt.Sprintf("%s, and the GOMEMLIMIT of %s is %d MiB", text, s.Name, s.MemoryLimit>>20),
				"Raise it, or lower --log-max-bytes", inspect.SeeSizes))
		}
	}
	switch unknown := v.unknown(); {
	case len(found) > 0:
		return found
	case len(v.servers) == 0 || len(unknown) > 0:
		return []inspect.Finding{warn(text+", and the memory of the servers is not known from here", askServers, inspect.SeeSizes)}
	}
	return []inspect.Finding{ok("%s, and every server has as much", text)}
}
