package app

import (
	"context"
	"io"
	"time"

	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"

	"github.com/rs/zerolog"
)

// ProcessOptions are the same for every process and job.
type ProcessOptions struct {
	Log     zerolog.Logger
	Version string
	// Console receives spans when the environment asks for traces on the console.
	Console io.Writer
	// AdminListen is the HOST:PORT of /livez, /readyz and /metrics; "" for none.
	AdminListen string
	// Profiles adds /debug/pprof to them.
	Profiles bool
	// AllowedHosts are further values of the Host header that the API and the admin listener answer.
	AllowedHosts []string
	// StopTimeout is how long stopping may take in all.
	StopTimeout time.Duration
	// MemoryLimited reports that the operator limits the memory of the process (GOMEMLIMIT).
	MemoryLimited bool
	// Explain rewrites the errors that are logged and shown by /readyz for an operator. The default is no change.
	Explain func(error) error
}

func (o ProcessOptions) validate() error {
	if o.StopTimeout < 0 {
		return option.Invalid("must not be negative", option.StopTimeout)
	}
	for _, host := range o.AllowedHosts {
		if !process.IsHost(host) {
			return option.Invalid("must be a host name without a port, such as clients.example.com", option.AllowedHosts)
		}
	}
	return nil
}

func (o ProcessOptions) new() *process.Process {
	return process.New(process.Config{Log: o.Log, StopTimeout: o.StopTimeout, Explain: o.Explain})
}

// maxAdminConnections is more than monitoring needs.
const maxAdminConnections = 64

// start starts tracing and the admin listener, and returns its address. It responds before the servers are reached, so that a monitor
// sees what the process waits for.
func (o ProcessOptions) start(ctx context.Context, p *process.Process) (admin *process.Admin, address string, err error) {
	p.TuneMemory(o.MemoryLimited)
	if err := p.StartTracing(ctx, o.Version, o.Console); err != nil {
		return nil, "", err
	}
	admin = process.NewAdmin(p) //nolint:contextcheck // a scrape of its metrics has no context either
	if o.AdminListen == "" {
		return admin, "", nil
	}
	if !process.IsLoopback(o.AdminListen) {
		p.Log.Warn().Str("listen", o.AdminListen).Msg("the admin endpoints have no authentication: let only your monitoring reach them")
	}
	address, err = p.Serve(process.HTTP{
		Name: "admin endpoints", Address: o.AdminListen, MaxConnections: maxAdminConnections,
		Handler: admin.Handler(process.AdminConfig{AllowHost: process.HostsOf(o.AdminListen, o.AllowedHosts).Allow, Profiles: o.Profiles}),
	})
	if err != nil {
		return nil, "", option.ListenError(err, option.AdminListen, o.AdminListen)
	}
	return admin, address, nil
}
