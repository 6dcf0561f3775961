// Package callers decides which callers an HTTP listener accepts: those with an API key or a token of an issuer. It also has the
// certificate that the listener shows to them.
package callers

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"time"

	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"
	"clientele/cmd/internal/refusal"
	"clientele/publisher/ingress/auth"
)

// Options name the keys, the issuer and the certificate.
type Options struct {
	// TLSCert and TLSKey are PEM files, read again when they change. Without them the listener serves HTTP.
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
}

// Authenticated reports whether callers need a key or a token.
func (o Options) Authenticated() bool { return o.KeysFile != "" || o.OIDCIssuer != "" }

// Validate returns an *option.Error for the first option that is not valid. Files and the issuer are checked later.
func (o Options) Validate() error {
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
	}
	return nil
}

// OpenError reports that a listener would be served beyond this machine without authentication.
type OpenError struct {
	Address string
	// Console is true for the console, which has no flag to allow that.
	Console bool
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("refusing to serve %s without authentication", e.Address)
}

// AllowHost returns the check of the Host header of a listener. On a network, callers authenticate with a key that a web page of
// another site does not have. So any host is allowed there, unless the operator lists them: proxies and load balancers use names of
// their own.
func (o Options) AllowHost(listen string, allowed []string) func(host string) bool {
	if o.Authenticated() && !process.IsLoopback(listen) && len(allowed) == 0 {
		return nil
	}
	return process.HostsOf(listen, allowed).Allow
}

// Certificate returns the configuration of TLS for a listener, nil for none.
func (o Options) Certificate(ctx context.Context, p *process.Process, listen string) (*tls.Config, error) {
	if o.TLSCert == "" {
		if o.Authenticated() && !process.IsLoopback(listen) {
			p.Log.Warn().Str("listen", listen).Msg("callers send their keys unencrypted: configure a TLS certificate, or put a proxy with TLS in front")
		}
		return nil, nil //nolint:nilnil // as documented
	}
	certificate, err := p.Certificate(ctx, o.TLSCert, o.TLSKey)
	return certificate, option.Wrap(err, option.TLSCert, option.TLSKey)
}

// Open returns what decides which callers are accepted, and what it needs to be ready. Without keys and issuer it accepts every
// request. It waits for an issuer that cannot be reached. changed is called with each key that a changed file adds or no longer has.
func (o Options) Open(ctx context.Context, p *process.Process, changed func(key auth.Key, added bool)) (auth.Authenticator, []process.Check, error) {
	if !o.Authenticated() {
		return auth.AllowAll{}, nil, nil
	}
	var chain auth.Chain
	var checks []process.Check
	if o.KeysFile != "" {
		chain.Keys = auth.NewKeyring(auth.KeyringConfig{Path: o.KeysFile, Grace: o.KeysGrace, Changed: changed, Metrics: p.Metrics})
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
