package cli

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/callers"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// The flags that several commands share. Each has an environment variable: CLIENTELE_ and its name in capitals.

type listenFlags struct {
	Listen         string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address of the API (${default})."`
	callerFlags    `embed:"" group:"api"`
	InsecureNoAuth bool `help:"Serve the API without authentication. Without this flag, an API without keys and issuer is served on loopback only."`

	RateLimit      float64 `placeholder:"N" help:"Maximum requests per second for each caller; unlimited by default."`
	MaxRequests    int     `default:"2048" placeholder:"N" help:"Maximum requests in progress; further ones receive 503 (${default})."`
	MaxWaiting     int     `placeholder:"N" help:"Maximum requests that wait for an outcome (Prefer: wait=N); further ones are answered at once. By default as many as fit into a quarter of the memory limit (GOMEMLIMIT) with 128 KiB each: 1024 without one."`
	MaxConnections int     `default:"8192" placeholder:"N" help:"Maximum open connections; further ones replace idle ones, or wait if none is idle (${default})."`

	MaxConnectionsPerAddress int `default:"4096" placeholder:"N" help:"Maximum open connections of one address, 0 for any number; further ones replace its idle ones, or are closed (${default})."`
}

// callerFlags say which callers the API and the console accept, and the certificate that these see.
type callerFlags struct {
	KeysFile                string        `type:"path" predictor:"file" placeholder:"FILE" help:"Keys file, as written by clientele keys new. It is read again every second."`
	KeysGrace               time.Duration `default:"5m" help:"How long keys remain valid once the keys file cannot be read; then callers with a key receive 503 (${default})."`
	OIDCIssuer              string        `name:"oidc-issuer" placeholder:"URL" help:"OpenID Connect issuer whose access tokens are accepted: the value of their iss claim."`
	OIDCAudience            string        `name:"oidc-audience" placeholder:"NAME" help:"Required value of the aud claim of these tokens."`
	OIDCAllowClientAudience bool          `name:"oidc-allow-client-audience" help:"Accept tokens whose audience is the client that they were issued to, such as ID tokens."`
	OIDCRequireATJWT        bool          `name:"oidc-require-at-jwt" help:"Accept only tokens whose typ is at+jwt (RFC 9068). By default, JWT or no typ is also accepted: many issuers set these."`

	TLSCert string `name:"tls-cert" type:"path" predictor:"file" placeholder:"FILE" help:"Certificate chain for callers, PEM. It is read again when it changes."`
	TLSKey  string `name:"tls-key" type:"path" predictor:"file" placeholder:"FILE" help:"Private key of this certificate, PEM."`
}

func (f *callerFlags) options() callers.Options {
	return callers.Options{
		TLSCert:                 f.TLSCert,
		TLSKey:                  f.TLSKey,
		KeysFile:                f.KeysFile,
		KeysGrace:               f.KeysGrace,
		OIDCIssuer:              f.OIDCIssuer,
		OIDCAudience:            f.OIDCAudience,
		OIDCAllowClientAudience: f.OIDCAllowClientAudience,
		OIDCRequireATJWT:        f.OIDCRequireATJWT,
	}
}

// processFlags are the flags of serve, ingress and worker.
type processFlags struct {
	AdminListen string `default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"Address of /livez, /readyz and /metrics (${default})."`
	runFlags    `embed:"" group:"process"`
}

// validate returns what is wrong with the flags.
func (f *processFlags) validate() error {
	if f.AdminListen == "" {
		return errors.New("--admin-listen must be HOST:PORT")
	}
	return nil
}

func (f *processFlags) options() app.ProcessOptions {
	o := f.runFlags.options()
	o.AdminListen = f.AdminListen
	return o
}

// runFlags are the flags of a process that runs until it is stopped.
type runFlags struct {
	AllowedHost     []string      `placeholder:"HOST" help:"Host name that requests may have, besides localhost and addresses that reach the listener; repeat the flag. Without it, an API with authentication on a network accepts any host."`
	Pprof           bool          `help:"Serve profiles at /debug/pprof on the admin address. They can contain personal data."`
	ShutdownTimeout time.Duration `default:"20s" help:"How long work in progress may take after SIGTERM (${default})."`
	logFlags        `embed:"" group:"process"`
}

func (f *runFlags) options() app.ProcessOptions {
	return app.ProcessOptions{StopTimeout: f.ShutdownTimeout, Profiles: f.Pprof, AllowedHosts: f.AllowedHost}
}

type natsFlags struct {
	NatsURL      string `name:"nats-url" placeholder:"URL" help:"NATS servers, such as nats://nats.example.com:4222; separate several with commas."`
	natsTLSFlags `embed:""`
}

func (f natsFlags) options() app.NATSOptions {
	return app.NATSOptions{URL: f.NatsURL, Creds: f.NatsCreds, CA: f.NatsCA, Cert: f.NatsCert, Key: f.NatsKey}
}

// natsTLSFlags authenticate NATS servers, and this program to them.
type natsTLSFlags struct {
	NatsCreds string `name:"nats-creds" type:"path" predictor:"file" placeholder:"FILE" help:"Credentials file for NATS. The URL can contain user and password instead."`
	NatsCA    string `name:"nats-ca" type:"path" predictor:"file" placeholder:"FILE" help:"Certificate authorities of the NATS servers, PEM; by default those of the system."`
	NatsCert  string `name:"nats-cert" type:"path" predictor:"file" placeholder:"FILE" help:"Client certificate for the NATS servers, PEM."`
	NatsKey   string `name:"nats-key" type:"path" predictor:"file" placeholder:"FILE" help:"Private key of the client certificate, PEM."`
}

// dataDirFlags configure the NATS and the database inside serve.
type dataDirFlags struct {
	DataDir               string `default:"./clientele-data" placeholder:"DIR" help:"Directory of the embedded NATS and SQLite (${default})."`
	NatsListen            string `default:"127.0.0.1:4222" placeholder:"HOST:PORT" help:"Address of the embedded NATS for subscribers (${default}); unused with --nats-url."`
	NatsConfig            string `type:"path" predictor:"file" placeholder:"FILE" help:"Configuration of nats-server with the users and TLS of the embedded NATS. Required unless it listens on loopback only."`
	NatsEncryptionKeyFile string `type:"path" predictor:"file" placeholder:"FILE" help:"Key that encrypts the files of the embedded NATS. If you lose this key, the log cannot be read."`
}

type databaseFlags struct {
	DatabaseURL string `name:"database-url" placeholder:"URL" help:"PostgreSQL database, such as postgres://clientele@db.example.com/clientele."`

	DatabaseURLFile secretFile `name:"database-url-file" predictor:"file" placeholder:"FILE" help:"File with this URL, instead of --database-url."`
}

// url returns the URL, or "".
func (f *databaseFlags) url() string { return cmp.Or(f.DatabaseURL, string(f.DatabaseURLFile)) }

// Validate returns what is wrong with the flags. The parser calls it for commands without a Validate of their own.
func (f *databaseFlags) Validate() error {
	return onlyOne("database-url", f.DatabaseURL, f.DatabaseURLFile)
}

// tokenFlags authenticate this program to the API.
type tokenFlags struct {
	Token     string     `placeholder:"TOKEN" help:"API key or token. Set it in the environment: CLIENTELE_TOKEN."`
	TokenFile secretFile `predictor:"file" placeholder:"FILE" help:"File with the API key or token, instead of --token."`
}

func (f *tokenFlags) token() string { return cmp.Or(f.Token, string(f.TokenFile)) }

func (f *tokenFlags) validate() error { return onlyOne("token", f.Token, f.TokenFile) }

// streamFlags are settings of the streams. Without a flag, an existing stream keeps its setting and a new one has the default.
type streamFlags struct {
	EventRetention time.Duration `placeholder:"DURATION" help:"How long events are kept (unchanged; 720h, 30 days, for a new stream)."`
	EventMaxBytes  int64         `placeholder:"BYTES" help:"Size above which the oldest events are dropped early; -1: no limit (unchanged; -1 for a new stream)."`
	AuditRetention time.Duration `placeholder:"DURATION" help:"How long records of the audit trail are kept (unchanged; 9600h, 400 days, for a new stream)."`
	LogMaxBytes    int64         `placeholder:"BYTES" help:"Size at which the command log refuses commands (unchanged; 2 GiB for a new stream). serve needs as much memory plus 256 MiB, and creates a smaller one if it has less."`
	Replicas       int           `placeholder:"N" help:"NATS servers that keep each message: 1, 3 or 5 (unchanged; 1 for a new stream)."`
}

// validate returns what is wrong with the flags. Commands call it from Validate, which the parser calls.
func (f streamFlags) validate() error {
	// A log smaller than this has no room for a batch.
	if f.LogMaxBytes != 0 && f.LogMaxBytes < 1<<20 {
		return errors.New("--log-max-bytes must be at least 1048576")
	}
	// A block of the stream's files has up to 8 MiB.
	if f.EventMaxBytes != 0 && f.EventMaxBytes != -1 && f.EventMaxBytes < 8<<20 {
		return errors.New("--event-max-bytes must be at least 8388608, or -1 for no limit")
	}
	if f.EventRetention != 0 && f.EventRetention < streams.MinEventRetention {
		return fmt.Errorf("--event-retention must be at least %.0fm", streams.MinEventRetention.Minutes())
	}
	if f.AuditRetention != 0 && f.AuditRetention < streams.MinEventRetention {
		return fmt.Errorf("--audit-retention must be at least %.0fm", streams.MinEventRetention.Minutes())
	}
	if !slices.Contains([]int{0, 1, 3, 5}, f.Replicas) {
		return errors.New("--replicas must be 1, 3 or 5")
	}
	return nil
}

func (f streamFlags) options() streams.Config {
	return streams.Config{
		Replicas: f.Replicas, LogMaxBytes: f.LogMaxBytes,
		EventRetention: f.EventRetention, EventMaxBytes: f.EventMaxBytes, AuditRetention: f.AuditRetention,
	}
}

type workerFlags struct {
	History     time.Duration `default:"24h" help:"How long a completed command stays on the log (${default}); less when the log is a quarter full or has 50,000 commands."`
	BatchSize   int           `default:"500" placeholder:"N" help:"Maximum clients per transaction, 1 to 1000 (${default})."`
	Concurrency int           `default:"2" placeholder:"N" help:"Batches processed at once under load, 1 to 64 (${default})."`
}

func (f workerFlags) options() *app.WorkerOptions {
	return &app.WorkerOptions{History: f.History, BatchSize: f.BatchSize, Concurrency: f.Concurrency}
}

// logFlags configure the log.
type logFlags struct {
	LogLevel  string `default:"info" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"Lowest level that is logged: debug, info, warn or error (${default})."`
	LogFormat string `default:"auto" enum:"auto,text,json" placeholder:"FORMAT" help:"text, json, or auto: text on a terminal, json elsewhere (${default})."`
}

// logger returns the configured logger. It writes to standard error.
func (f logFlags) logger(e env) zerolog.Logger {
	level, err := zerolog.ParseLevel(f.LogLevel)
	if err != nil {
		panic(err) // the parser knows the levels
	}
	w := e.stderr
	if f.LogFormat == "text" || f.LogFormat == "auto" && isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !isTerminal(w)}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// externalFlags are the flags of the commands that require NATS and PostgreSQL servers.
type externalFlags struct {
	natsFlags     `embed:"" group:"nats"`
	databaseFlags `embed:"" group:"database"`
}

// validate returns what is wrong with the flags.
func (f *externalFlags) validate() error {
	if f.NatsURL == "" || f.url() == "" {
		return errors.New("--nats-url and --database-url are required; without servers, run clientele serve")
	}
	return f.databaseFlags.Validate()
}

func (f *externalFlags) options() app.BackendOptions {
	return app.BackendOptions{NATS: f.natsFlags.options(), Database: app.StoreOptions{URL: f.url()}}
}

// apiTLSFlags authenticate the API.
type apiTLSFlags struct {
	CA string `name:"ca" type:"path" predictor:"file" placeholder:"FILE" help:"Certificate authorities of the API, PEM; by default those of the system."`
}

// config returns the TLS configuration for connections to the API.
func (f apiTLSFlags) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("--ca: " + f.CA + " contains no PEM certificate")
	}
	return config, nil
}

// servedFlag names the clientele serve that an operator's tool works on, unless other flags name servers.
type servedFlag struct {
	DataDir string `placeholder:"DIR" help:"Data directory of clientele serve (./clientele-data); unused if other flags name servers."`
}

// defaultDataDir is the data directory of serve.
const defaultDataDir = "./clientele-data"

func (f servedFlag) dir() string { return cmp.Or(f.DataDir, defaultDataDir) }

// oneSystem returns an error if one URL is set without the other. The default data directory would then supply the other half, and a
// tool would combine two systems.
func (f servedFlag) oneSystem(natsURL, databaseURL string) error {
	if (natsURL == "") != (databaseURL == "") && f.DataDir == "" {
		return &usageError{"pass both --nats-url and --database-url, or add the --data-dir of the serve that has the other"}
	}
	return nil
}

// clientsFlags name the database, for the operator's tools.
type clientsFlags struct {
	servedFlag    `embed:""`
	databaseFlags `embed:""`
}

func (f *listenFlags) options() *app.APIOptions {
	return &app.APIOptions{
		Listen:         f.Listen,
		Options:        f.callerFlags.options(),
		NoAuth:         f.InsecureNoAuth,
		RateLimit:      f.RateLimit,
		MaxRequests:    f.MaxRequests,
		MaxWaiting:     f.MaxWaiting,
		MaxConnections: f.MaxConnections,

		ConnectionsPerAddress: f.MaxConnectionsPerAddress,
	}
}

// operatorFlags name the NATS of a running clientele serve, or NATS servers.
type operatorFlags struct {
	servedFlag   `embed:""`
	NatsURL      string `name:"nats-url" placeholder:"URL" help:"NATS servers; separate several with commas. By default the embedded NATS of the serve that runs in --data-dir."`
	natsTLSFlags `embed:""`
}

func (f operatorFlags) options() app.NATSOptions {
	o := natsFlags{f.NatsURL, f.natsTLSFlags}.options()
	o.Local = f.dir()
	return o
}

// dial returns a connection for a command that ends. A right that the server refuses ends the command. The caller closes the
// connection.
func (f operatorFlags) dial(e env) (*nats.Conn, error) {
	return f.options().Dial("operator", e.fail)
}
