package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"time"

	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"
	"clientele/cmd/internal/refusal"
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
	// TLSCert and TLSKey are PEM files, read again when they change. Without them the API is served over HTTP.
	TLSCert, TLSKey string

	// KeysFile has the API keys that may be used, and is read again when it changes.
	KeysFile string
	// KeysGrace is how long keys may be used after the file can no longer be read.
	KeysGrace time.Duration
	// OIDCIssuer issues tokens that may be used if their audience is OIDCAudience.
	OIDCIssuer, OIDCAudience string
	// OIDCAllowClientAudience accepts tokens whose audience is the client that they were issued to.
	OIDCAllowClientAudience bool
	// OIDCRequireATJWT accepts only tokens whose typ is at+jwt.
	OIDCRequireATJWT bool
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

// Authenticated reports whether callers need a key or a token.
func (o *APIOptions) Authenticated() bool { return o.KeysFile != "" || o.OIDCIssuer != "" }

func (o *APIOptions) validate() error {
	if o == nil {
		return nil
	}
	issuer, err := url.Parse(o.OIDCIssuer)
	switch {
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return option.Wrap(option.ErrPair, option.TLSCert, option.TLSKey)
	case (o.OIDCIssuer == "") != (o.OIDCAudience == ""):
		return option.Wrap(option.ErrPair, option.OIDCIssuer, option.OIDCAudience)
	case o.OIDCIssuer != "" && (err != nil || issuer.Scheme != "https" && !process.IsLoopback(issuer.Host)):
		return option.Invalid("must be an HTTPS URL, such as https://issuer.example.com", option.OIDCIssuer)
	case o.KeysGrace < 0:
		return option.Invalid("must not be negative", option.KeysGrace)
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
		return option.Wrap(&OpenAPIError{o.Listen}, option.Listen)
	}
	return nil
}

// OpenAPIError reports that an API without authentication would be served beyond this machine.
type OpenAPIError struct{ Address string }

func (e *OpenAPIError) Error() string {
	return fmt.Sprintf("refusing to serve %s without authentication", e.Address)
}

// allowHost returns the check of the Host header. On a network, callers authenticate with a key that a web page of another site does
// not have. So any host is allowed there, unless the operator lists them: proxies and load balancers use names of their own.
func (o *APIOptions) allowHost(allowed []string) func(host string) bool {
	if o.Authenticated() && !process.IsLoopback(o.Listen) && len(allowed) == 0 {
		return nil
	}
	return process.HostsOf(o.Listen, allowed).Allow
}

// start serves the API. It returns its URL and what it needs to be ready.
func (o *APIOptions) start(ctx context.Context, p *process.Process, b *backends, trail *audit.Collector, allowedHosts []string) (apiURL string, checks []process.Check, err error) {
	if err := refuseSchema(ctx, p, b.db); err != nil {
		return "", nil, err
	}
	authenticator, checks, err := o.authenticator(ctx, p, trail)
	if err != nil {
		return "", nil, err
	}
	certificate, err := o.certificate(ctx, p)
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
			AllowHost:     o.allowHost(allowedHosts),
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
	return apiURL, append(checks,
		process.Check{Name: "command log", Probe: log.Ready},
		// Without it, only reads are refused.
		process.Check{Name: "audit trail", Optional: true, Probe: trail.Ready}), nil
}

// certificate returns the configuration of TLS, nil for none.
func (o *APIOptions) certificate(ctx context.Context, p *process.Process) (*tls.Config, error) {
	if o.TLSCert == "" {
		if o.Authenticated() && !process.IsLoopback(o.Listen) {
			p.Log.Warn().Msg("callers send their keys unencrypted: configure a TLS certificate, or put a proxy with TLS in front")
		}
		return nil, nil //nolint:nilnil // as documented
	}
	certificate, err := p.Certificate(ctx, o.TLSCert, o.TLSKey)
	return certificate, option.Wrap(err, option.TLSCert, option.TLSKey)
}

// authenticator returns what decides which callers may use the API, and what it needs to be ready.
func (o *APIOptions) authenticator(ctx context.Context, p *process.Process, trail *audit.Collector) (auth.Authenticator, []process.Check, error) {
	if !o.Authenticated() {
		if o.NoAuth {
			p.Log.Warn().Str("listen", o.Listen).Msg("authentication is off: every program that can reach the API can read and write clients")
		}
		return auth.AllowAll{}, nil, nil
	}
	var chain auth.Chain
	var checks []process.Check
	if o.KeysFile != "" {
		chain.Keys = auth.NewKeyring(auth.KeyringConfig{Path: o.KeysFile, Grace: o.KeysGrace, Changed: recordKeys(trail), Metrics: p.Metrics})
		if err := p.Reload(ctx, "the API keys", chain.Keys.Load); err != nil {
			return nil, nil, option.Wrap(err, option.KeysFile)
		}
		checks = append(checks, process.Check{Name: "API keys", Probe: chain.Keys.Ready})
	}
	if o.OIDCIssuer != "" {
		err := p.Await(ctx, "the issuer "+o.OIDCIssuer, func(ctx context.Context) (err error) {
			chain.OIDC, err = auth.OpenOIDC(ctx, auth.OIDCConfig{
				Issuer: o.OIDCIssuer, Audience: o.OIDCAudience,
				AllowClientAudience: o.OIDCAllowClientAudience, RequireATJWT: o.OIDCRequireATJWT,
			})
			return err
		}, refusal.Untrusted)
		if refusal.Untrusted(err) {
			err = option.Wrap(fmt.Errorf("%w: add its certificate authority to those of the system", err), option.OIDCIssuer)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return chain, checks, nil
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
