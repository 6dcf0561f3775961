// Package app composes the processes of Clientele: the API, the worker, the forwarder and the back ends they use. It also runs the
// jobs that open the same back ends and end: migrate, backup and restore.
//
// It knows no flags. An invalid option is an *option.Error, which names the option; package cli turns options into flags, and errors
// into advice for an operator.
package app

import (
	"context"

	"clientele/cmd/internal/callers"
	"clientele/cmd/internal/console"
	"clientele/cmd/internal/presence"
	"clientele/cmd/internal/process"
	"clientele/cmd/internal/served"
	"clientele/consumer"
	"clientele/publisher/audit"
	"clientele/publisher/streams"
)

// Options say what a process runs, and on what.
type Options struct {
	// Role is the role of the process on NATS: serve, ingress, worker or forward. It is the end of the inbox prefix. Errors about a
	// missing right name it, or operator for serve, as the user of deploy/nats/accounts.conf that has the right.
	Role    string
	Process ProcessOptions

	Backends BackendOptions
	// SetUp has the process create and migrate streams, consumer and database when it starts. If it is nil, they must be at this
	// version.
	SetUp *streams.Config
	// Audit says where reads, refusals and migrations are recorded.
	Audit audit.Operator

	// The parts of the process: nil leaves a part out. A forwarder needs no database.
	API     *APIOptions
	Console *console.Options
	Worker  *WorkerOptions
	Forward *ForwardOptions
}

// database reports whether the process needs the database.
func (o Options) database() bool { return o.API != nil || o.Worker != nil || o.Console != nil }

// callers returns whom the listeners accept.
func (o Options) callers() callers.Options {
	if o.API != nil {
		return o.API.Options
	}
	return o.Console.Options
}

// Validate returns an *option.Error for the first option that is not valid. Files and servers are checked at the start.
func (o Options) Validate() error {
	if err := o.Process.validate(); err != nil {
		return err
	}
	for _, part := range []interface{ validate() error }{o.API, o.Worker, o.Forward} {
		if err := part.validate(); err != nil {
			return err
		}
	}
	return o.Console.Validate()
}

// App is a process of Clientele.
type App struct {
	options Options
	process *process.Process

	apiURL, consoleURL, adminAddress, natsURL, natsURLFile string
}

// New returns an App that has started nothing. An option that is not valid is an *option.Error.
func New(o Options) (*App, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &App{options: o, process: o.Process.new()}, nil
}

// Run starts the app, calls started, unless it is nil, and runs until the context ends or the app fails. Then it stops what was
// started. The end of the context is no error.
func (a *App) Run(ctx context.Context, started func()) error {
	return a.process.Run(ctx, func(ctx context.Context) error {
		err := a.start(ctx)
		if err == nil && started != nil {
			started()
		}
		return err
	})
}

// start starts the parts. It waits for servers that cannot be reached. A server that refuses this program or its version is an error.
func (a *App) start(ctx context.Context) error {
	p := a.process
	dir, err := a.options.Backends.lock(ctx, p, a.options.database())
	if err != nil {
		return err
	}
	admin, address, err := a.options.Process.start(ctx, p)
	if err != nil {
		return err
	}
	a.adminAddress = address
	b, err := a.options.Backends.open(ctx, p, dir, a.options.Role, a.options.database())
	if err != nil {
		return err
	}
	a.natsURL = b.natsURL
	if b.server != nil {
		if a.natsURLFile, err = served.Write(p, a.options.Backends.Database.DataDir, b.server.LocalURL()); err != nil {
			return err
		}
	}
	p.Go(ctx, "presence", func(ctx context.Context) {
		presence.Announce(ctx, presence.Config{
			Conn: b.conn, Role: a.role(), Version: a.options.Process.Version, Ready: admin.Ready, Metrics: p.Metrics, Log: p.Log,
		})
	})
	if a.options.SetUp != nil {
		if err := setUp(ctx, p, b, *a.options.SetUp, a.options.Audit); err != nil {
			return err
		}
		b.stageInMemory(p.Log)
	}
	checks, err := a.startParts(ctx, b)
	if err != nil {
		return err
	}
	admin.Start(checks)
	p.Log.Info().Msg("ready")
	return nil
}

// role returns the role under which operators see the process.
func (a *App) role() string {
	if a.options.API == nil && a.options.Console != nil {
		return presence.Console
	}
	return a.options.Role
}

// startParts starts the worker before the API, and returns what the process needs to be ready.
func (a *App) startParts(ctx context.Context, b *backends) (checks []process.Check, err error) {
	p, o := a.process, a.options
	if o.Worker != nil {
		if checks, err = o.Worker.start(ctx, p, b); err != nil {
			return nil, err
		}
	}
	if o.API != nil || o.Console != nil {
		needed, err := a.startListeners(ctx, b)
		if err != nil {
			return nil, err
		}
		checks = append(checks, needed...)
	}
	if o.API != nil || o.Worker != nil {
		warnOfOneServer(ctx, p, b)
	}
	if o.Forward != nil {
		check, err := o.Forward.start(ctx, p, b)
		if err != nil {
			return nil, err
		}
		check.Optional = o.API != nil // callers would be refused for nothing
		checks = append(checks, check)
	}
	if o.database() {
		probe := b.db.Ready
		if o.Worker != nil {
			probe = b.db.Writable
		}
		// An ingress accepts commands while the database is unavailable. Without it, callers would be refused for nothing.
		checks = append(checks, process.Check{Name: "database", Optional: o.API != nil, Probe: probe})
	}
	return checks, nil
}

// startListeners starts the API and the console, which have the same callers, and returns what they need to be ready.
func (a *App) startListeners(ctx context.Context, b *backends) (checks []process.Check, err error) {
	p, o := a.process, a.options
	trail, err := openCollector(ctx, p, b, audit.File(o.Audit.File), o.Role)
	if err != nil {
		return nil, err
	}
	authenticator, checks, err := o.callers().Open(ctx, p, recordKeys(trail))
	if err != nil {
		return nil, err
	}
	if o.API != nil {
		url, needed, err := o.API.start(ctx, p, b, trail, authenticator, o.Process.AllowedHosts)
		if err != nil {
			return nil, err
		}
		a.apiURL, checks = url, append(checks, needed...)
		if err := a.reportBacklog(b); err != nil {
			return nil, err
		}
	}
	if o.Console != nil {
		a.consoleURL, err = o.Console.Start(ctx, p, console.Config{
			Conn: b.conn, Store: b.db, Audit: trail, Authenticator: authenticator, Version: o.Process.Version, Serves: o.API != nil,
		}, o.Process.AllowedHosts)
	}
	return checks, err
}

// reportBacklog registers the metrics of the log, unless a worker in this process does.
func (a *App) reportBacklog(b *backends) error {
	if a.options.Worker != nil {
		return nil
	}
	backlog, err := consumer.NewBacklog(b.conn)
	if err != nil {
		return err
	}
	return a.process.Asked.Register(backlog)
}

// APIURL returns the URL of the API, with its port. It is "" before the API has started.
func (a *App) APIURL() string { return a.apiURL }

// ConsoleURL returns the URL of the console, with its port. It is "" without one.
func (a *App) ConsoleURL() string { return a.consoleURL }

// AdminAddress returns the HOST:PORT of the admin listener, "" without one.
func (a *App) AdminAddress() string { return a.adminAddress }

// NATSURL returns the URL at which subscribers reach NATS, without user and password.
func (a *App) NATSURL() string { return a.natsURL }

// NATSURLFile returns the file with the URL of the embedded NATS, with user and password. It is "" without an embedded NATS.
func (a *App) NATSURLFile() string { return a.natsURLFile }
