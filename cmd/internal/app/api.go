package app

import (
	"cmp"
	"context"
	"time"

	"clientele/cmd/internal/callers"
	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"
	"clientele/publisher"
	"clientele/publisher/audit"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"
	"clientele/store"
)

// APIOptions configure the API.
type APIOptions struct {
	// Listen is HOST:PORT; port 0 picks a free one.
	Listen string
	callers.Options

	// NoAuth serves the API to every caller. Otherwise an API without keys and issuer is served on loopback only.
	NoAuth bool

	// RateLimit is how many requests per second each caller may make, 0 for any number.
	RateLimit float64
	// MaxRequests is how many requests may be in progress; further ones receive 503.
	MaxRequests int
	// MaxWaiting is how many requests may wait for an outcome; further ones are answered at once. 0 derives it from the memory limit.
	MaxWaiting int
	// MaxConnections is how many connections may be open. Further ones replace those without a request in progress, or wait.
	MaxConnections int
	// ConnectionsPerAddress is how many one remote address may have open, 0 for any number. Further ones replace its connections
	// without a request in progress, or are closed.
	ConnectionsPerAddress int
}

// waiterSize is the memory in bytes to reserve for a request that waits for an outcome: about twice what TestOverload measures, with
// its TLS connection.
const waiterSize = 128 << 10

func (o *APIOptions) validate() error {
	if o == nil {
		return nil
	}
	if err := o.Options.Validate(); err != nil {
		return err
	}
	switch {
	case o.RateLimit < 0:
		return option.Invalid("must not be negative", option.RateLimit)
	case o.MaxRequests < 1:
		return option.Invalid("must be at least 1", option.MaxRequests)
	case o.MaxWaiting < 0:
		return option.Invalid("must not be negative", option.MaxWaiting)
	case o.MaxConnections < 1:
		return option.Invalid("must be at least 1", option.MaxConnections)
	case o.ConnectionsPerAddress < 0:
		return option.Invalid("must not be negative", option.ConnectionsPerAddress)
	case o.NoAuth && o.Authenticated():
		return option.Invalid("conflicts with API keys and with an issuer", option.NoAuth)
	case !o.NoAuth && !o.Authenticated() && !process.IsLoopback(o.Listen) && option.IsAddress(o.Listen):
		return option.Wrap(&callers.OpenError{Address: o.Listen}, option.Listen)
	}
	return nil
}

// start serves the API. It returns its URL and what it needs to be ready.
func (o *APIOptions) start(ctx context.Context, p *process.Process, b *backends, trail *audit.Collector, authenticator auth.Authenticator, allowedHosts []string) (apiURL string, checks []process.Check, err error) {
	if err := refuseSchema(ctx, p, b.db); err != nil {
		return "", nil, err
	}
	if o.NoAuth {
		p.Log.Warn().Str("listen", o.Listen).Msg("authentication is off: every program that can reach the API can read and write clients")
	}
	certificate, err := o.Certificate(ctx, p, o.Listen)
	if err != nil {
		return "", nil, err
	}
	var log *publisher.Log
	err = await(ctx, p, "the command log", func(ctx context.Context) (err error) {
		log, err = publisher.OpenLog(ctx, publisher.LogConfig{Conn: b.conn, Metrics: p.Metrics, Traces: p.Traces})
		return err
	})
	if err != nil {
		return "", nil, err
	}
	p.OnStop("command log", func(context.Context) error { log.Close(); return nil })
	stopping := make(chan struct{})
	address, err := p.Serve(process.HTTP{
		Name: "API", Address: o.Listen, TLS: certificate,
		MaxConnections: o.MaxConnections, MaxConnectionsPerAddress: o.ConnectionsPerAddress,
		OnShutdown: func() { close(stopping) },
		Handler: ingress.NewHandler(log, store.NewGrouped(b.db), ingress.Config{
			Authenticator: authenticator,
			RatePerCaller: o.RateLimit,
			MaxRequests:   o.MaxRequests,
			Full:          b.dir.Full,
			MaxWaiting:    cmp.Or(o.MaxWaiting, process.ShareOfMemory(waiterSize)),
			AllowHost:     o.AllowHost(o.Listen, allowedHosts),
			Audit:         trail,
			Logger:        p.Log,
			Stopping:      stopping,
			Metrics:       p.Metrics,
			Traces:        p.Traces,
		}),
	})
	if err != nil {
		return "", nil, option.ListenError(err, option.Listen, o.Listen)
	}
	apiURL = "http://" + address
	if certificate != nil {
		apiURL = "https://" + address
	}
	return apiURL, []process.Check{
		{Name: "command log", Probe: log.Ready},
		// Without it, only reads are refused.
		{Name: "audit trail", Optional: true, Probe: trail.Ready},
	}, nil
}

// refuseSchema returns an error if the database responds and its schema is not this program's. If the database does not respond, the
// check continues in the background, and the API starts without it.
func refuseSchema(ctx context.Context, p *process.Process, db store.Store) error {
	first, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := db.Ready(first)
	if err == nil || Permanent(err) {
		return err
	}
	p.Log.Warn().Msg("the database is unavailable; commands are accepted meanwhile")
	p.Go(ctx, "wait for the database", func(ctx context.Context) {
		// The API accepts commands by now, so a refused password does not end the process.
		err := p.Await(ctx, "the database", bounded(db.Ready), WrongSetup)
		if WrongSetup(err) {
			p.Fatal(err)
		}
	})
	return nil
}
