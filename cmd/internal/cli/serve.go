package cli

import (
	"cmp"
	"fmt"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/console"
	"clientele/cmd/internal/process"
	"clientele/publisher/streams"
)

type serveCmd struct {
	listenFlags   `embed:"" group:"api"`
	ConsoleListen *string `group:"console" placeholder:"HOST:PORT" help:"Address of the console, empty for none (127.0.0.1:8082; without the flag, serve runs without a console if another program uses this address). Its callers are those of the API."`
	processFlags  `embed:"" group:"process"`
	dataDirFlags  `embed:"" group:"inside"`
	natsFlags     `embed:"" group:"nats"`
	databaseFlags `embed:"" group:"database"`
	streamFlags   `embed:"" group:"streams"`
	workerFlags   `embed:"" group:"worker"`
	auditLogFlag  `embed:"" group:"process"`
	NoForward     bool `group:"process" help:"Deliver no events to webhooks: leave them to clientele forward, or deliver nothing from a copy of an installation."`
}

// Help is printed by --help.
func (*serveCmd) Help() string {
	return `Examples:

  # Everything, with its data in ./clientele-data
  clientele serve

  # On a network: a key for each caller, and TLS
  clientele keys new --name crm --scope clients:write,clients:read --keys-file keys
  clientele serve --listen 0.0.0.0:8443 --keys-file keys --tls-cert api.crt --tls-key api.key

  # With your own PostgreSQL
  clientele serve --database-url postgres://clientele@db.example.com/clientele`
}

// Validate is called by the parser.
func (c *serveCmd) Validate() error {
	return cmp.Or(c.processFlags.validate(), c.databaseFlags.Validate(), c.streamFlags.validate(), advise(c.options().Validate()))
}

func (c *serveCmd) options() app.Options {
	streams := c.streamFlags.options()
	o := app.Options{
		Role:    "serve",
		Process: c.processFlags.options(),
		Backends: app.BackendOptions{
			NATS:     c.natsFlags.options(),
			Database: app.StoreOptions{URL: c.url(), DataDir: c.DataDir},
			Embedded: app.EmbeddedOptions{Listen: c.NatsListen, ConfigFile: c.NatsConfig, EncryptionKeyFile: c.NatsEncryptionKeyFile},
		},
		SetUp:   &streams,
		Audit:   c.operator(),
		API:     c.listenFlags.options(),
		Console: c.console(),
		Worker:  c.workerFlags.options(),
	}
	if !c.NoForward {
		o.Forward = &app.ForwardOptions{UserAgent: userAgent()}
	}
	return o
}

// defaultConsole is the default address of the console.
const defaultConsole = "127.0.0.1:8082"

// console returns the options of the console, or nil for none. The certificate is that of the API, which has another name than loopback.
func (c *serveCmd) console() *console.Options {
	o := &console.Options{Listen: defaultConsole, Options: c.callerFlags.options(), Optional: c.ConsoleListen == nil}
	if c.ConsoleListen != nil {
		o.Listen = *c.ConsoleListen
	}
	if process.IsLoopback(o.Listen) {
		o.TLSCert, o.TLSKey = "", ""
	}
	if o.Listen == "" {
		return nil
	}
	return o
}

// Run runs ingress and worker until the context ends.
func (c *serveCmd) Run(e env) error {
	o := c.options()
	if c.NatsURL == "" {
		o.SetUp.Memory = process.Memory(e.getenv("GOMEMLIMIT") != "")
		if err := streams.CheckMemory(c.LogMaxBytes, o.SetUp.Memory); err != nil {
			return &usageError{"--log-max-bytes: " + err.Error()}
		}
	}
	return run(e, c.logFlags, o, func(a *app.App) {
		authorization := ""
		if c.listenFlags.options().Authenticated() {
			authorization = authorizationLine
		}
		subscribe := ""
		if file := a.NATSURLFile(); file != "" {
			subscribe = fmt.Sprintf(subscribeLines, c.DataDir, file)
		}
		fmt.Fprintf(e.stdout, banner, a.APIURL(), a.AdminAddress(), a.NATSURL(), authorization, subscribe, consoleText(a.ConsoleURL()))
	})
}

func consoleText(url string) string {
	if url == "" {
		return ""
	}
	return "The console is on " + url + ".\n"
}

const authorizationLine = `    --header 'Authorization: Bearer KEY' \
`

const subscribeLines = `Each start creates a new credential for NATS, which only this user can read:

  clientele events tail --data-dir %[1]s
  export NATS_URL=$(cat %[2]s)
`

const banner = `Clientele accepts clients on %[1]s (readiness: http://%[2]s/readyz).
The API is documented at %[1]s/docs.
%[6]sSubscribers receive client.created from %[3]s.
%[5]s
Try it:

  curl -i %[1]s/api/v2/clients \
%[4]s    --header 'Content-Type: application/json' \
    --header 'Idempotency-Key: onboarding-4712' \
    --data '{"firstName": "John", "lastName": "Smith", "emailAddress": "john@example.com"}'

`
