package embedded

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/conf"
	"github.com/nats-io/nats-server/v2/server"
)

// honoured are the settings that a configuration may have, with everything inside them. The process decides all others itself.
var honoured = []string{"accounts", "authorization", "tls"}

// ConfigError is an error about NATSConfig.ConfigFile.
type ConfigError struct {
	File string
	Err  error
}

func (e *ConfigError) Error() string { return e.File + ": " + e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// readConfig returns the options of a configuration. A setting that would have no effect, or that would keep this process out of its
// own server, is an error that names it.
func readConfig(path string) (*server.Options, error) {
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		return nil, &ConfigError{path, err}
	}
	settings, err := conf.ParseFileWithChecks(path)
	if err != nil {
		return nil, &ConfigError{path, err}
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		variable, ok := settings[name].(interface{ IsUsedVariable() bool })
		if slices.Contains(honoured, strings.ToLower(name)) || ok && variable.IsUsedVariable() {
			continue
		}
		return nil, &ConfigError{path, fmt.Errorf("setting %q has no effect in this process, only %s have: remove it", name, strings.Join(honoured, " and "))}
	}
	if err := refuseLockout(opts); err != nil {
		return nil, &ConfigError{path, err}
	}
	return opts, nil
}

// refuseLockout refuses the ways to authenticate that this process cannot use for its own connection.
func refuseLockout(opts *server.Options) error {
	switch {
	case opts.Username != "" || opts.Authorization != "":
		return errors.New("give each program a user under authorization { users = [ … ] }")
	case opts.AuthCallout != nil:
		return errors.New(`setting "auth_callout" is not supported: define the users in the file`)
	case opts.ProxyRequired:
		return errors.New(`setting "proxy_required" is not supported: programs connect directly`)
	case opts.TLSMap:
		return errors.New(`setting "verify_and_map" is not supported: use "verify", and a password for each user`)
	}
	return nil
}
