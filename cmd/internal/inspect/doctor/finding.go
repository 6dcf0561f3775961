package doctor

import (
	"fmt"

	"clientele/cmd/internal/inspect"
)

// The findings of a check. Run adds the name of the check.

func ok(format string, args ...any) inspect.Finding {
	return inspect.Finding{Result: inspect.OK, Found: fmt.Sprintf(format, args...)}
}

func warn(found, do, see string) inspect.Finding {
	return inspect.Finding{Result: inspect.Warn, Found: found, Do: do, See: see}
}

func fail(found, do, see string) inspect.Finding {
	return inspect.Finding{Result: inspect.Fail, Found: found, Do: do, See: see}
}

// The sections that only this package names.
const (
	seeCompose  = "deploy/README.md#docker-compose"
	seeDatabase = "deploy/README.md#when-the-database-loses-clients"
	seeSecurity = "SECURITY.md#run-it-safely"
	seeStatus   = "deploy/README.md#status-doctor-and-debug"
)
