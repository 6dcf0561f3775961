package cli

import (
	"context"
	"crypto/tls"
	"fmt"

	"clientele/cmd/internal/process"
	"clientele/publisher"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"
	"clientele/store"

	"github.com/nats-io/nats.go"
)

// start serves the API and returns what it needs to be ready.
func (f *listenFlags) start(ctx context.Context, p *process.Process, conn *nats.Conn, db store.Store) ([]process.Check, error) {
	authenticator, err := f.authenticator(ctx, p)
	if err != nil {
		return nil, err
	}
	var certificate *tls.Config
	if f.TLSCert != "" {
		if certificate, err = p.Certificate(ctx, "--tls-cert and --tls-key", f.TLSCert, f.TLSKey); err != nil {
			return nil, err
		}
	}
	if f.hasAuth() && certificate == nil && !isLoopback(f.Listen) {
		p.Log.Warn().Msg("callers send their keys in the clear: give --tls-cert and --tls-key, or have something in front that does TLS")
	}
	var log *publisher.Log
	err = await(ctx, p, "the command log", func(ctx context.Context) (err error) {
		log, err = publisher.OpenLog(ctx, publisher.LogConfig{Conn: conn, Metrics: p.Metrics, Traces: p.Traces})
		return err
	})
	if err != nil {
		return nil, err
	}
	p.OnStop("command log", func(context.Context) error { log.Close(); return nil })
	stopping := make(chan struct{})
	f.Listen, err = serveHTTP(p, process.HTTP{
		OnShutdown: func() { close(stopping) },
		Name:       "--listen", Address: f.Listen, TLS: certificate, MaxConnections: f.MaxConnections,
		Handler: ingress.NewHandler(log, db, ingress.Config{
			Authenticator: authenticator,
			RatePerCaller: f.RateLimit,
			MaxRequests:   f.MaxRequests,
			Logger:        p.Log,
			Stopping:      stopping,
			Metrics:       p.Metrics,
			Traces:        p.Traces,
		}),
	})
	return []process.Check{
		{Name: "command log", Probe: log.Ready},
		// Commands are accepted while the database is away: taking an ingress out of service for that would refuse them.
		{Name: "database", Optional: true, Probe: db.Ready},
	}, err
}

// authenticator returns what the flags let in.
func (f *listenFlags) authenticator(ctx context.Context, p *process.Process) (auth.Authenticator, error) {
	if f.InsecureNoAuth {
		p.Log.Warn().Str("listen", f.Listen).Msg("--insecure-no-auth: everybody who can reach the API may read and write clients")
	}
	if !f.hasAuth() {
		return auth.AllowAll{}, nil
	}
	var either auth.Chain
	if f.KeysFile != "" {
		either.Keys = auth.NewKeyring(f.KeysFile)
		if err := p.Reload(ctx, "--keys-file", []string{f.KeysFile}, either.Keys.Load); err != nil {
			return nil, fmt.Errorf("%w; see clientele keys new --help", err)
		}
	}
	if f.OIDCIssuer != "" {
		err := p.Await(ctx, "the issuer "+f.OIDCIssuer, func(ctx context.Context) (err error) {
			either.OIDC, err = auth.OpenOIDC(ctx, f.OIDCIssuer, f.OIDCAudience)
			return err
		}, untrusted)
		if untrusted(err) {
			return nil, fmt.Errorf("--oidc-issuer: %w: add its certificate authority to those of the system", err)
		}
		if err != nil {
			return nil, err
		}
	}
	return either, nil
}

// url is where the API is, once it is served.
func (f *listenFlags) url() string {
	if f.TLSCert != "" {
		return "https://" + f.Listen
	}
	return "http://" + f.Listen
}
