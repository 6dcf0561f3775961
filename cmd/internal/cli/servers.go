package cli

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

	"clientele/cmd/internal/process"

	"github.com/nats-io/nats.go"
)

// connect returns a connection to NATS, waiting for the servers where they are away. It reconnects by itself for ever,
// and the process closes it.
func connect(ctx context.Context, p *process.Process, servers, role string, extra ...nats.Option) (*nats.Conn, error) {
	options := append([]nats.Option{
		nats.Name("clientele"),
		nats.Timeout(2 * time.Second),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.IgnoreAuthErrorAbort(),
		// Away means away: what cannot be sent now fails now, instead of being sent when nobody waits for it any more.
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
			lacking := lackingRight(nc, role, err)
			if lacking != nil && p.Starting() {
				p.Fatal(lacking)
				return
			}
			p.Log.Warn().Err(cmp.Or(lacking, advise(err))).Msg("NATS reports an error")
		}),
	}, extra...)
	var nc *nats.Conn
	err := p.Await(ctx, "NATS at "+redact(servers), func(context.Context) (err error) {
		nc, err = nats.Connect(servers, options...)
		return err
	}, func(err error) bool { return permanent(err) || errors.Is(err, os.ErrNotExist) })
	if err != nil {
		return nil, err
	}
	p.OnStop("connection to NATS", func(context.Context) error {
		defer nc.Close()
		return nc.FlushTimeout(2 * time.Second) // acks are on their way
	})
	return nc, nil
}

// connect returns a connection to the servers that the flags name, waiting for them as the function connect does.
func (f natsFlags) connect(ctx context.Context, p *process.Process, role string) (*nats.Conn, error) {
	options, err := f.options(role)
	if err != nil {
		return nil, err
	}
	return connect(ctx, p, f.NatsURL, role, options...)
}

// connectNow returns a connection to the servers that the flags name, or within a few seconds an error. It does not
// reconnect: it is for commands that a person waits for. A right that it lacks ends the command. The caller closes it.
func (f natsFlags) connectNow(e env, role string) (*nats.Conn, error) {
	options, err := f.options(role)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(f.NatsURL, append(options,
		nats.Name("clientele"),
		nats.Timeout(2*time.Second),
		nats.NoReconnect(),
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) {
			if lacking := lackingRight(nc, role, err); lacking != nil {
				e.fail(lacking)
			}
		}),
	)...)
	if err != nil && permanent(err) {
		return nil, fmt.Errorf("NATS at %s: %w", redact(f.NatsURL), err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot reach NATS at %s, see --nats-url: %w", redact(f.NatsURL), err)
	}
	return nc, nil
}

// options checks the flags and returns the options that they stand for. Each role has the answers that it gets for itself:
// in the inbox that all share by default, each could read those of the others.
func (f natsFlags) options(role string) ([]nats.Option, error) {
	for server := range strings.SplitSeq(f.NatsURL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return nil, errors.New("--nats-url must be like nats://host:4222")
		}
	}
	options := []nats.Option{nats.CustomInboxPrefix("_INBOX_" + role)}
	if f.NatsCreds != "" {
		if _, err := os.Stat(f.NatsCreds); err != nil {
			return nil, errors.New("--nats-creds: " + err.Error())
		}
		options = append(options, nats.UserCredentials(f.NatsCreds))
	}
	if f.NatsCA != "" {
		if _, err := os.ReadFile(f.NatsCA); err != nil {
			return nil, errors.New("--nats-ca: " + err.Error())
		}
		options = append(options, nats.RootCAs(f.NatsCA))
	}
	if (f.NatsCert == "") != (f.NatsKey == "") {
		return nil, errors.New("--nats-cert and --nats-key go together")
	}
	if f.NatsCert != "" {
		if _, err := tls.LoadX509KeyPair(f.NatsCert, f.NatsKey); err != nil {
			return nil, errors.New("--nats-cert and --nats-key: " + err.Error())
		}
		options = append(options, nats.ClientCert(f.NatsCert, f.NatsKey)) // read again for each connection
	}
	return options, nil
}

// await waits until f succeeds. It gives up with an error that is permanent.
func await(ctx context.Context, p *process.Process, what string, f func(context.Context) error) error {
	return awaitUnless(ctx, p, what, f, permanent)
}

func awaitUnless(ctx context.Context, p *process.Process, what string, f func(context.Context) error, final func(error) bool) error {
	return p.Await(ctx, what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return advise(f(ctx))
	}, final)
}
