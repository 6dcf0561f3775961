package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"clientele/cmd/internal/app"
	"clientele/domain"
	"clientele/publisher"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// The flags of the commands. Each has an environment twin: CLIENTELE_ and its name in capitals.

type listenFlags struct {
	Listen string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where the API is served (${default})."`

	KeysFile       string `type:"path" predictor:"file" placeholder:"FILE" help:"API keys that may be used, as clientele keys new prints them. Read again when it changes."`
	OIDCIssuer     string `name:"oidc-issuer" placeholder:"URL" help:"OpenID Connect issuer whose tokens may be used, as it is in their iss."`
	OIDCAudience   string `name:"oidc-audience" placeholder:"NAME" help:"What such a token must have in its aud."`
	InsecureNoAuth bool   `help:"Serve the API without authentication. Otherwise, without keys or an issuer, it is served on loopback only."`

	TLSCert string `name:"tls-cert" type:"path" predictor:"file" placeholder:"FILE" help:"Certificate chain of the API, PEM. Read again when it changes."`
	TLSKey  string `name:"tls-key" type:"path" predictor:"file" placeholder:"FILE" help:"Its private key, PEM."`

	RateLimit      float64 `placeholder:"N" help:"Requests a second that each caller may make; any number unless given."`
	MaxRequests    int     `default:"2048" placeholder:"N" help:"Requests under way at once, beyond which 503 is answered (${default})."`
	MaxConnections int     `default:"8192" placeholder:"N" help:"Callers connected at once, beyond which they wait to be let in (${default})."`
}

// processFlags are those of a server: serve, ingress and worker.
type processFlags struct {
	AdminListen string `default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"Where /livez, /readyz, /metrics and /debug/pprof are served (${default})."`
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

// runFlags are those of a process that runs until it is told to stop.
type runFlags struct {
	ShutdownTimeout time.Duration `default:"20s" help:"How long requests and batches in hand may take to finish after SIGTERM (${default})."`
	logFlags        `embed:"" group:"process"`
}

func (f *runFlags) options() app.ProcessOptions {
	return app.ProcessOptions{StopTimeout: f.ShutdownTimeout}
}

type natsFlags struct {
	NatsURL      string `name:"nats-url" placeholder:"URL" help:"NATS servers to use, such as nats://nats.example.com:4222; several with commas."`
	natsTLSFlags `embed:""`
}

func (f natsFlags) options() app.NATSOptions {
	return app.NATSOptions{URL: f.NatsURL, Creds: f.NatsCreds, CA: f.NatsCA, Cert: f.NatsCert, Key: f.NatsKey}
}

// natsTLSFlags authenticate NATS servers, and this program to them.
type natsTLSFlags struct {
	NatsCreds string `name:"nats-creds" type:"path" predictor:"file" placeholder:"FILE" help:"Credentials file for NATS. User and password may be in the URL instead."`
	NatsCA    string `name:"nats-ca" type:"path" predictor:"file" placeholder:"FILE" help:"Certificate authorities of the NATS servers, PEM; those of the system unless given."`
	NatsCert  string `name:"nats-cert" type:"path" predictor:"file" placeholder:"FILE" help:"Certificate to show to NATS servers, PEM."`
	NatsKey   string `name:"nats-key" type:"path" predictor:"file" placeholder:"FILE" help:"Its private key, PEM."`
}

// dataDirFlags are of what serve has inside.
type dataDirFlags struct {
	DataDir               string `default:"./clientele-data" placeholder:"DIR" help:"Where the embedded NATS and SQLite keep their files (${default})."`
	NatsListen            string `default:"127.0.0.1:4222" placeholder:"HOST:PORT" help:"Where subscribers reach the embedded NATS (${default}); unused with --nats-url."`
	NatsConfig            string `type:"path" predictor:"file" placeholder:"FILE" help:"Users and TLS of the embedded NATS, as nats-server has them in its configuration; needed where others than this machine reach it."`
	NatsEncryptionKeyFile string `type:"path" predictor:"file" placeholder:"FILE" help:"Key that encrypts what the embedded NATS keeps on disk. Without it the log is lost."`
}

type databaseFlags struct {
	DatabaseURL string `name:"database-url" placeholder:"URL" help:"PostgreSQL database to use, such as postgres://clientele@db.example.com/clientele."`
}

// streamFlags are settings of the streams. One that is not given stays as it is, and is the default for a stream that is made.
type streamFlags struct {
	EventRetention time.Duration `placeholder:"DURATION" help:"How long client.created events are kept (as it is, or 720h: 30 days)."`
	LogMaxBytes    int64         `placeholder:"BYTES" help:"Size at which the command log refuses more (as it is, or 2 GiB)."`
	Replicas       int           `placeholder:"N" help:"NATS servers that keep each message: 1, 3 or 5 (as it is, or 1)."`
}

// validate returns what is wrong with the flags. Commands call it from Validate, which the parser calls.
func (f streamFlags) validate() error {
	// A log smaller than this has no room for a batch.
	if f.LogMaxBytes != 0 && f.LogMaxBytes < 1<<20 {
		return errors.New("--log-max-bytes must be at least 1048576")
	}
	if f.EventRetention != 0 && f.EventRetention < publisher.MinEventRetention {
		return fmt.Errorf("--event-retention must be at least %.0fm", publisher.MinEventRetention.Minutes())
	}
	if !slices.Contains([]int{0, 1, 3, 5}, f.Replicas) {
		return errors.New("--replicas must be 1, 3 or 5")
	}
	return nil
}

func (f streamFlags) options() publisher.StreamsConfig {
	return publisher.StreamsConfig{Replicas: f.Replicas, LogMaxBytes: f.LogMaxBytes, EventRetention: f.EventRetention}
}

type workerFlags struct {
	History     time.Duration `default:"24h" help:"How long a finished command stays on the log (${default}); less when the log is a quarter full."`
	BatchSize   int           `default:"500" placeholder:"N" help:"Most clients in one transaction, 1 to 1000 (${default})."`
	Concurrency int           `default:"2" placeholder:"N" help:"Batches under way at once when commands pile up, 1 to 64 (${default})."`
}

func (f workerFlags) options() *app.WorkerOptions {
	return &app.WorkerOptions{History: f.History, BatchSize: f.BatchSize, Concurrency: f.Concurrency}
}

// logFlags say what is logged.
type logFlags struct {
	LogLevel  string `default:"info" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"Least level that is logged: debug, info, warn or error (${default})."`
	LogFormat string `default:"auto" enum:"auto,text,json" placeholder:"FORMAT" help:"text, json, or auto: text on a terminal, else json (${default})."`
}

// logger returns the logger that the flags ask for. It writes to standard error.
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

// externalFlags are those of the commands that need servers outside.
type externalFlags struct {
	natsFlags     `embed:"" group:"nats"`
	databaseFlags `embed:"" group:"database"`
}

// validate returns what is wrong with the flags.
func (f externalFlags) validate() error {
	if f.NatsURL == "" || f.DatabaseURL == "" {
		return errors.New("--nats-url and --database-url are needed; without servers of your own, run clientele serve")
	}
	return nil
}

func (f externalFlags) options() app.BackendOptions {
	return app.BackendOptions{NATS: f.natsFlags.options(), Database: app.StoreOptions{URL: f.DatabaseURL}}
}

// apiTLSFlags say how to be sure of the API.
type apiTLSFlags struct {
	CA string `name:"ca" type:"path" predictor:"file" placeholder:"FILE" help:"Certificate authorities of the API, PEM; those of the system unless given."`
}

// config returns how to connect to the API.
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
		return nil, errors.New("--ca: " + f.CA + " has no certificate in PEM")
	}
	return config, nil
}

// clientsFlags say where the clients are, for the operator's tools.
type clientsFlags struct {
	DataDir string `default:"./clientele-data" placeholder:"DIR" help:"Data directory of the clientele serve that has the clients; unused with --database-url (${default})."`

	databaseFlags `embed:"" group:"database"`
}

// expiry is a flag's point in time to come.
type expiry struct{ time.Time }

// UnmarshalText reads a time by RFC 3339, or a duration from now, which may be in days.
func (x *expiry) UnmarshalText(text []byte) error {
	s := string(text)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			s = strconv.FormatUint(n*24, 10) + "h"
		}
	}
	if from, err := time.ParseDuration(s); err == nil {
		x.Time = time.Now().Add(from)
	} else if x.Time, err = time.Parse(time.RFC3339, s); err != nil {
		return fmt.Errorf("%q is neither a time by RFC 3339, such as 2027-11-23T18:00:00Z, nor a duration, such as 90d", text)
	}
	if !x.After(time.Now()) {
		return fmt.Errorf("%q is not in the future", text)
	}
	return nil
}

func (f *listenFlags) options() *app.APIOptions {
	return &app.APIOptions{
		Listen:         f.Listen,
		TLSCert:        f.TLSCert,
		TLSKey:         f.TLSKey,
		KeysFile:       f.KeysFile,
		OIDCIssuer:     f.OIDCIssuer,
		OIDCAudience:   f.OIDCAudience,
		NoAuth:         f.InsecureNoAuth,
		RateLimit:      f.RateLimit,
		MaxRequests:    f.MaxRequests,
		MaxConnections: f.MaxConnections,
	}
}

// operatorFlags are natsFlags for a person at the machine on which serve runs.
type operatorFlags struct {
	NatsURL      string `name:"nats-url" default:"nats://127.0.0.1:4222" placeholder:"URL" help:"NATS servers to use (${default}, where serve has its own); several with commas."`
	natsTLSFlags `embed:""`
}

// dial returns a connection for a command that ends. A right that the server refuses ends the command. The caller closes the
// connection.
func (f operatorFlags) dial(e env, role string) (*nats.Conn, error) {
	return natsFlags(f).options().Dial(role, e.fail)
}

// filterFlags select rejections by what is in them.
type filterFlags struct {
	Reason []domain.Code `enum:"invalid,idempotency-key-reused,undecodable,unstorable,unreadable" placeholder:"REASON" help:"Only with one of these reasons: ${enum}."`
	Since  moment        `placeholder:"TIME" help:"Only rejected at this time or later: by RFC 3339, or a duration ago such as 24h."`
	Until  moment        `placeholder:"TIME" help:"Only rejected at this time or earlier: by RFC 3339, or a duration ago such as 24h."`
}

// given says whether the flags leave anything out.
func (f filterFlags) given() bool {
	return len(f.Reason) > 0 || !f.Since.IsZero() || !f.Until.IsZero()
}

// validate returns what is wrong with the flags.
func (f filterFlags) validate() error {
	if !f.Until.IsZero() && f.Until.Before(f.Since.Time) {
		return errors.New("--until must not be before --since")
	}
	return nil
}

func (f filterFlags) filter() publisher.RejectionFilter {
	return publisher.RejectionFilter{Reasons: f.Reason, Since: f.Since.Time, Until: f.Until.Time}
}

// moment is a flag's point in time.
type moment struct{ time.Time }

// UnmarshalText reads a time by RFC 3339, or a duration before now.
func (m *moment) UnmarshalText(text []byte) error {
	s := string(text)
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		m.Time = time.Now().Add(-ago)
		return nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return fmt.Errorf("%q is neither a time by RFC 3339, such as 2026-11-23T18:00:00Z, nor a duration ago, such as 24h", s)
	}
	m.Time = t
	return nil
}
