package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"
	"clientele/cmd/internal/refusal"
	"clientele/cmd/internal/served"

	"github.com/nats-io/nats.go"
)

// NATSOptions say how to connect to NATS servers.
type NATSOptions struct {
	// URL names the servers, separated by commas. It is empty for the NATS server inside the process.
	URL string
	// Local is the data directory of a running serve, whose NATS is used if URL is empty; or "".
	Local string
	// Creds is a credentials file, CA a PEM file of certificate authorities; Cert and Key are the PEM files of a client certificate.
	// Each may be empty.
	Creds, CA, Cert, Key string
}

// Dial returns a connection, or an error within a few seconds. It does not reconnect: it is for commands that a person waits for.
// lacking is called with a *refusal.PermissionError when the server refuses a right. The caller closes the connection.
func (o NATSOptions) Dial(role string, lacking func(error)) (*nats.Conn, error) {
	servers, options, err := o.options(role)
	if err != nil {
		return nil, err
	}
	nc, err := refusal.Connect(servers, append(options,
		nats.Name("clientele"),
		nats.Timeout(5*time.Second),
		nats.NoReconnect(),
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) {
			if right := refusal.LackingRight(nc, role, err); right != nil {
				lacking(right)
			}
		}),
	)...)
	switch {
	case err == nil:
		return nc, nil
	case Permanent(err):
		return nil, fmt.Errorf("NATS at %s: %w", refusal.Redact(servers), err)
	default:
		return nil, option.Wrap(fmt.Errorf("cannot reach NATS at %s: %w", refusal.Redact(servers), err), option.NATSURL)
	}
}

// connect returns a connection to the servers, and waits for servers that cannot be reached.
func (o NATSOptions) connect(ctx context.Context, p *process.Process, role string) (*nats.Conn, error) {
	servers, options, err := o.options(role)
	if err != nil {
		return nil, err
	}
	return connect(ctx, p, servers, role, options...)
}

// connect returns a connection that reconnects until the process stops, which closes it. A right that the server refuses ends a
// process that starts, and is logged by one that runs.
func connect(ctx context.Context, p *process.Process, servers, role string, extra ...nats.Option) (*nats.Conn, error) {
	options := append([]nats.Option{
		nats.Name("clientele"),
		nats.Timeout(2 * time.Second),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.IgnoreAuthErrorAbort(),
		// Without a connection a publish fails now. A buffer would send it later, when no caller waits for it any more.
		nats.ReconnectBufSize(-1),
		// A server that hangs is noticed within 6 s.
		nats.PingInterval(2 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				p.Log.Warn().Err(err).Msg("lost the connection to NATS, reconnecting")
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { p.Log.Info().Msg("reconnected to NATS") }),
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) {
			right := refusal.LackingRight(nc, role, err)
			if right != nil && p.Starting() {
				p.Fatal(right)
				return
			}
			p.Log.Warn().Err(p.Explain(cmp.Or(right, err))).Msg("NATS reports an error")
		}),
	}, extra...)
	var nc *nats.Conn
	err := p.Await(ctx, "NATS at "+refusal.Redact(servers), func(context.Context) (err error) {
		nc, err = refusal.Connect(servers, options...)
		return err
	}, func(err error) bool { return Permanent(err) || errors.Is(err, os.ErrNotExist) })
	if Permanent(err) {
		return nil, fmt.Errorf("NATS at %s: %w", refusal.Redact(servers), err)
	}
	if err != nil {
		return nil, err
	}
	p.OnStop("connection to NATS", func(context.Context) error {
		defer nc.Close()
		return nc.FlushTimeout(2 * time.Second) // sends the last acks
	})
	return nc, nil
}

// inside reports whether the NATS server runs inside the process.
func (o NATSOptions) inside() bool { return o.URL == "" && o.Local == "" }

// options returns the servers and how to connect to them, after a check of the options and the files that they name. Each role has an
// inbox prefix of its own: with the common one, each user could read the responses to the others.
func (o NATSOptions) options(role string) (servers string, options []nats.Option, err error) {
	servers, options = o.URL, []nats.Option{nats.CustomInboxPrefix("_INBOX_" + role)}
	if servers == "" {
		var credential nats.Option
		if servers, credential, err = served.Credential(o.Local); err != nil {
			return "", nil, err
		}
		options = append(options, credential)
	}
	for server := range strings.SplitSeq(servers, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return "", nil, option.Invalid("must be a URL such as nats://host:4222", option.NATSURL)
		}
	}
	if o.Creds != "" {
		if _, err := os.Stat(o.Creds); err != nil {
			return "", nil, option.Wrap(err, option.NATSCreds)
		}
		options = append(options, nats.UserCredentials(o.Creds))
	}
	if o.CA != "" {
		if _, err := os.ReadFile(o.CA); err != nil {
			return "", nil, option.Wrap(err, option.NATSCA)
		}
		options = append(options, nats.RootCAs(o.CA))
	}
	if (o.Cert == "") != (o.Key == "") {
		return "", nil, option.Wrap(option.ErrPair, option.NATSCert, option.NATSKey)
	}
	if o.Cert != "" {
		if _, err := tls.LoadX509KeyPair(o.Cert, o.Key); err != nil {
			return "", nil, option.Wrap(err, option.NATSCert, option.NATSKey)
		}
		options = append(options, nats.ClientCert(o.Cert, o.Key)) // read again for each connection
	}
	return servers, options, nil
}
