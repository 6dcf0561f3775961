package cli

import (
	"errors"
	"fmt"
	"slices"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/inspect/doctor"
	"clientele/cmd/internal/process"

	"github.com/nats-io/nats.go"
)

// doctorFlags say what doctor checks.
type doctorFlags struct {
	URL         string `name:"url" group:"api" placeholder:"URL" help:"URL of the API to check, such as http://127.0.0.1:8080. It receives a synthetic client, and refuses it."`
	tokenFlags  `embed:"" group:"api"`
	apiTLSFlags `embed:"" group:"api"`
	KeysFile    string   `group:"api" type:"path" predictor:"file" placeholder:"FILE" help:"Keys file of the API."`
	TLSCert     string   `name:"tls-cert" group:"api" type:"path" predictor:"file" placeholder:"FILE" help:"Certificate of the API, PEM."`
	NatsMonitor []string `name:"nats-monitor" group:"nats" placeholder:"URL" help:"Monitoring port of a NATS server, such as http://127.0.0.1:8222; repeat the flag for each server."`

	NatsSystemURL string `name:"nats-system-url" group:"nats" placeholder:"URL" help:"NATS servers, with a user of their system account. All servers of a cluster answer."`

	lookFlags `embed:""`
}

// validate returns what is wrong with the flags.
func (c *doctorFlags) validate() error {
	switch {
	case c.URL != "" && !isHTTPURL(c.URL):
		return errors.New("--url must be a URL such as http://127.0.0.1:8080")
	case slices.ContainsFunc(c.NatsMonitor, func(url string) bool { return !isHTTPURL(url) }):
		return errors.New("--nats-monitor must be a URL such as http://127.0.0.1:8222")
	}
	return errors.Join(c.tokenFlags.validate(), c.databaseFlags.Validate())
}

// config opens what doctor checks. The caller calls closeAll.
func (c *doctorFlags) config(e env) (cfg doctor.Config, closeAll func(), err error) {
	l, err := c.open(e)
	if err != nil {
		return cfg, nil, err
	}
	cfg = doctor.Config{
		Config: l.Config, NATSError: l.NATSError, Memory: process.Memory(false),
		Monitors: c.NatsMonitor, KeysFile: c.KeysFile, Certificates: map[string]string{},
	}
	if c.NatsURL == "" {
		cfg.ServeDir, cfg.Stopped = c.dir(), l.stopped()
	}
	for flag, path := range map[string]string{"--tls-cert": c.TLSCert, "--nats-cert": c.NatsCert, "--nats-ca": c.NatsCA, "--ca": c.CA} {
		if path != "" {
			cfg.Certificates[flag] = path
		}
	}
	if c.NatsSystemURL != "" {
		cfg.System, cfg.SystemError = c.system()
	}
	if c.URL != "" {
		cfg.API = &doctor.API{URL: c.URL, Token: c.token(), UserAgent: userAgent()}
		if cfg.API.TLS, err = c.apiTLSFlags.config(); err != nil {
			l.close()
			return cfg, nil, err
		}
	}
	return cfg, func() {
		l.close()
		if cfg.System != nil {
			cfg.System.Close()
		}
	}, nil
}

// system connects to the system account. What it refuses times out.
func (c *doctorFlags) system() (*nats.Conn, error) {
	o := natsFlags{c.NatsSystemURL, c.natsTLSFlags}.options()
	return app.NATSOptions{URL: o.URL, CA: o.CA, Cert: o.Cert, Key: o.Key}.Dial("system", func(error) {})
}

// doctorCmd checks how an installation is set up.
type doctorCmd struct {
	JSON        bool `name:"json" help:"Print one JSON object instead of lines."`
	doctorFlags `embed:""`
}

// Help is printed by --help.
func (*doctorCmd) Help() string {
	return `Examples:

  # The serve that runs in ./clientele-data, with its API
  clientele doctor --url http://127.0.0.1:8080 --keys-file keys

  # Separate servers, with the operator's rights and the monitoring ports of three NATS servers
  clientele doctor --nats-url nats://operator@nats-1.example.com --database-url postgres://clientele_operator@db.example.com/clientele \
    --nats-monitor http://nats-1:8222 --nats-monitor http://nats-2:8222 --nats-monitor http://nats-3:8222

Each line is ok, warn or fail, with what to do and the section of the documentation. A check that is not possible from here is a warning
that says so. doctor stores no client: its synthetic client is refused by the API and by the log. To measure synced writes, it writes a
file in the data directory, or else a position in CLIENT_SUBSCRIPTIONS, and removes it.

Exit status: 0 if no check has failed (warnings are printed), 3 if one has, and 2 for a wrong command line.`
}

// Validate is called by the parser.
func (c *doctorCmd) Validate() error { return c.validate() }

// Run checks and prints.
func (c *doctorCmd) Run(e env) error {
	cfg, closeAll, err := c.config(e)
	if err != nil {
		return err
	}
	defer closeAll()
	r := doctor.Run(e.ctx, cfg)
	if e.ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if c.JSON {
		err = printJSON(e, r)
	} else {
		err = printReport(e, r)
	}
	if err == nil && r.Result == inspect.Fail {
		return errUnhealthy
	}
	return err
}

// printReport prints a line for each check, and what to do about those that are not ok.
func printReport(e env, r doctor.Report) error {
	count := map[inspect.Health]int{}
	for _, f := range r.Checks {
		count[f.Result]++
	}
	_, err := fmt.Fprintf(e.stdout, "%s\n%d ok, %s, %s\n", findingsText(r.Checks, paintFor(e)), count[inspect.OK], countOf(count[inspect.Warn], "warning"), countOf(count[inspect.Fail], "failure"))
	return err
}
