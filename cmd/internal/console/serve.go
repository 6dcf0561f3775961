package console

import (
	"context"
	"errors"
	"syscall"

	"clientele/cmd/internal/callers"
	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"
)

// maxConnections is more than operators need: a browser has at most six.
const maxConnections = 256

// Validate returns an *option.Error for the first option that is not valid. Nil is no console, and valid.
func (o *Options) Validate() error {
	if o == nil {
		return nil
	}
	if !o.Authenticated() && !process.IsLoopback(o.Listen) && option.IsAddress(o.Listen) {
		return option.Wrap(&callers.OpenError{Address: o.Listen, Console: true}, option.ConsoleListen)
	}
	return o.Options.Validate()
}

// Start serves the console until the process stops. It returns its URL, or "" if the address is in use and the console is optional.
func (o *Options) Start(ctx context.Context, p *process.Process, cfg Config, allowedHosts []string) (url string, err error) {
	certificate, err := o.Certificate(ctx, p, o.Listen)
	if err != nil {
		return "", err
	}
	c, err := newConsole(cfg, surroundings{
		open: !o.Authenticated(), certificate: certificate, allowHost: o.AllowHost(o.Listen, allowedHosts),
		explain: p.Explain, log: p.Log,
	})
	if err != nil {
		return "", err
	}
	requests, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stopRequests = stop
	address, err := p.Serve(process.HTTP{
		Name: "console", Address: o.Listen, TLS: certificate, MaxConnections: maxConnections,
		Requests: requests, Handler: c.handler(),
	})
	if err != nil {
		c.stopRequests()
		c.watch.Close()
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && o.Optional:
		p.Log.Warn().Str("listen", o.Listen).Msg("another program uses the address of the console: running without it; --console-listen sets another address")
		return "", nil
	case err != nil && cfg.Serves:
		return "", option.ListenError(err, option.ConsoleListen, o.Listen)
	case err != nil:
		return "", option.ListenError(err, option.Listen, o.Listen)
	}
	p.Go(ctx, "console", c.run)
	if certificate != nil {
		return "https://" + address, nil
	}
	return "http://" + address, nil
}

// run looks at the installation and runs jobs until the context ends. Requests end at the same time: a page can take minutes, in which the
// process could not complete the work of its other parts.
func (c *Console) run(ctx context.Context) {
	defer context.AfterFunc(ctx, c.stopRequests)()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.jobs.Run(ctx)
	}()
	c.watch.Run(ctx)
	<-done
}
