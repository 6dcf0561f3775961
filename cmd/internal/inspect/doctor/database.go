package doctor

import (
	"context"
	"fmt"
	"strings"

	"clientele/cmd/internal/inspect"
)

// oldestPostgreSQL is the oldest major version with which Clientele is tested.
const oldestPostgreSQL = 15

// database checks the version and the settings of the database.
func database(_ context.Context, v *visit) (found []inspect.Finding) {
	d := v.description
	var major int
	if _, err := fmt.Sscanf(d.Version, "%d", &major); err == nil && d.Product == "PostgreSQL" && major < oldestPostgreSQL {
		found = append(found, warn(d.Product+" "+d.Version+" is older than the versions that are tested", "Upgrade it", inspect.SeeServers))
	}
	if len(d.Unsafe) > 0 {
		found = append(found, fail("committed clients can be lost: "+strings.Join(d.Unsafe, ", "),
			"Set it to on in postgresql.conf, and restart PostgreSQL", seeDatabase))
	}
	if len(found) == 0 {
		return []inspect.Finding{ok("%s %s keeps what it has committed", d.Product, d.Version)}
	}
	return found
}

// databaseRights checks the rights of the role on the tables.
func databaseRights(_ context.Context, v *visit) []inspect.Finding {
	if lacking := v.description.Lacking; len(lacking) > 0 {
		return []inspect.Finding{warn("operator commands would fail, because this role lacks "+strings.Join(lacking, ", "),
			"Use the role clientele_operator, or run deploy/postgres/roles.sql again", seeSecurity)}
	}
	return []inspect.Finding{ok("this role has the rights that operator commands need")}
}

// schema checks that this program can use the database.
func schema(_ context.Context, v *visit) []inspect.Finding {
	s := v.description.Schema
	if err := s.Check(v.description.Program); err != nil {
		return []inspect.Finding{fail(v.Explain(err).Error(), "Use a clientele and a schema that fit each other", inspect.SeeUpgrade)}
	}
	if s.Version > v.description.Program {
		return []inspect.Finding{ok("version %d, newer than this program's %d, which it can use", s.Version, v.description.Program)}
	}
	return []inspect.Finding{ok("version %d", s.Version)}
}
