package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"time"

	"clientele/cmd/internal/process"
	"clientele/publisher"
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
	// OIDCIssuer issues tokens that may be used if their audience is OIDCAudience.
	OIDCIssuer, OIDCAudience string
	// NoAuth serves the API to every caller. Otherwise an API without keys and issuer is served on loopback only.
	NoAuth bool

	// RateLimit is how many requests per second each caller may make, 0 for any number.
	RateLimit float64
	// MaxRequests is how many requests may be in progress; further ones receive 503.
	MaxRequests int
	// MaxConnections is how many connections may be open. Further ones replace those without a request in progress, or wait.
	MaxConnections int
	// ConnectionsPerAddress is how many one remote address may have open, 0 for any number. Further ones replace its connections
	// without a request in progress, or are closed.
	ConnectionsPerAddress int
}

// Authenticated reports whether callers need a key or a token.
func (o *APIOptions) Authenticated() bool { return o.KeysFile != "" || o.OIDCIssuer != "" }

func (o *APIOptions) validate() error {
	if o == nil {
		return nil
	}
	issuer, err := url.Parse(o.OIDCIssuer)
	switch {
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return optionError(errPair, TLSCert, TLSKey)
	case (o.OIDCIssuer == "") != (o.OIDCAudience == ""):
		return optionError(errPair, OIDCIssuer, OIDCAudience)
	case o.OIDCIssuer != "" && (err != nil || issuer.Scheme != "https" && !isLoopback(issuer.Host)):
		return invalid("must be an HTTPS URL, such as https://issuer.example.com", OIDCIssuer)
	case o.RateLimit < 0:
		return invalid("must not be negative", RateLimit)
	case o.MaxRequests < 1:
		return invalid("must be at least 1", MaxRequests)
	case o.MaxConnections < 1:
		return invalid("must be at least 1", MaxConnections)
	case o.ConnectionsPerAddress < 0:
		return invalid("must not be negative", ConnectionsPerAddress)
	case o.NoAuth && o.Authenticated():
		return invalid("conflicts with API keys and with an issuer", NoAuth)
	case !o.NoAuth && !o.Authenticated() && !isLoopback(o.Listen) && isAddress(o.Listen):
		return &OptionError{[]Option{Listen}, &OpenAPIError{o.Listen}}
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
	if o.Authenticated() && !isLoopback(o.Listen) && len(allowed) == 0 {
		return nil
	}
	return hostsOf(o.Listen, allowed).allow
}

// start serves the API and returns its URL.
func (o *APIOptions) start(ctx context.Context, p *process.Process, b *backends, allowedHosts []string) (apiURL string, check process.Check, err error) {
	if err := refuseSchema(ctx, p, b.db); err != nil {
		return "", check, err
	}
	authenticator, err := o.authenticator(ctx, p)
	if err != nil {
		return "", check, err
	}
	certificate, err := o.certificate(ctx, p)
	if err != nil {
		return "", check, err
	}
	var log *publisher.Log
	err = await(ctx, p, "the command log", func(ctx context.Context) (err error) {
		log, err = publisher.OpenLog(ctx, publisher.LogConfig{Conn: b.conn, Metrics: p.Metrics, Traces: p.Traces})
		return err
	})
	if err != nil {
		return "", check, err
	}
	p.OnStop("command log", func(context.Context) error { log.Close(); return nil })
	stopping := make(chan struct{})
	address, err := p.Serve(process.HTTP{
		Name: "API", Address: o.Listen, TLS: certificate,
		MaxConnections: o.MaxConnections, MaxConnectionsPerAddress: o.ConnectionsPerAddress,
		OnShutdown: func() { close(stopping) },
		Handler: ingress.NewHandler(log, b.db, ingress.Config{
			Authenticator: authenticator,
			RatePerCaller: o.RateLimit,
			MaxRequests:   o.MaxRequests,
			AllowHost:     o.allowHost(allowedHosts),
			Logger:        p.Log,
			Stopping:      stopping,
			Metrics:       p.Metrics,
			Traces:        p.Traces,
		}),
	})
	if err != nil {
		return "", check, listenError(err, Listen, o.Listen)
	}
	apiURL = "http://" + address
	if certificate != nil {
		apiURL = "https://" + address
	}
	return apiURL, process.Check{Name: "command log", Probe: log.Ready}, nil
}

// certificate returns the configuration of TLS, nil for none.
func (o *APIOptions) certificate(ctx context.Context, p *process.Process) (*tls.Config, error) {
	if o.TLSCert == "" {
		if o.Authenticated() && !isLoopback(o.Listen) {
			p.Log.Warn().Msg("callers send their keys unencrypted: configure a TLS certificate, or put a proxy with TLS in front")
		}
		return nil, nil //nolint:nilnil // as documented
	}
	certificate, err := p.Certificate(ctx, o.TLSCert, o.TLSKey)
	return certificate, optionError(err, TLSCert, TLSKey)
}

// authenticator returns what decides which callers may use the API.
func (o *APIOptions) authenticator(ctx context.Context, p *process.Process) (auth.Authenticator, error) {
	if !o.Authenticated() {
		if o.NoAuth {
			p.Log.Warn().Str("listen", o.Listen).Msg("authentication is off: every program that can reach the API can read and write clients")
		}
		return auth.AllowAll{}, nil
	}
	var chain auth.Chain
	if o.KeysFile != "" {
		chain.Keys = auth.NewKeyring(o.KeysFile)
		if err := p.Reload(ctx, "the API keys", []string{o.KeysFile}, chain.Keys.Load); err != nil {
			return nil, optionError(err, KeysFile)
		}
	}
	if o.OIDCIssuer != "" {
		err := p.Await(ctx, "the issuer "+o.OIDCIssuer, func(ctx context.Context) (err error) {
			chain.OIDC, err = auth.OpenOIDC(ctx, o.OIDCIssuer, o.OIDCAudience)
			return err
		}, Untrusted)
		if Untrusted(err) {
			err = optionError(fmt.Errorf("%w: add its certificate authority to those of the system", err), OIDCIssuer)
		}
		if err != nil {
			return nil, err
		}
	}
	return chain, nil
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
	p.Go(ctx, "wait for the database", func(ctx context.Context) {
		// The API accepts commands by now, so a refused password does not end the process.
		err := p.Await(ctx, "the database; commands are accepted meanwhile", bounded(db.Ready), WrongSetup)
		if WrongSetup(err) {
			p.Fatal(err)
		}
	})
	return nil
}
