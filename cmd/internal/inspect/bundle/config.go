package bundle

import (
	"strings"

	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/inspect/doctor"
)

// Config says what Write collects.
type Config struct {
	doctor.Config

	// Version is the version of this program.
	Version string
	// Settings are the environment variables of flags, without secrets.
	Settings map[string]string
	// Admins are the URLs of the admin listeners of processes. One that does not answer is noted.
	Admins []string
	// Text returns the status and the report of doctor as a person reads them.
	Text func(inspect.Status, doctor.Report) string
	// Secrets are texts that must not be written, wherever they occur. Home is replaced, too: it can name a person.
	Secrets []string
	Home    string
}

// leastSecret is the fewest characters of a secret that is replaced: a shorter one occurs in other words.
const leastSecret = 4

// redactor replaces secrets and the home directory.
func (cfg Config) redactor() *strings.Replacer {
	pairs := []string{}
	for _, secret := range cfg.Secrets {
		if len(secret) >= leastSecret {
			pairs = append(pairs, secret, "(removed)")
		}
	}
	if len(cfg.Home) > 1 {
		pairs = append(pairs, cfg.Home, "~")
	}
	return strings.NewReplacer(pairs...)
}
