// Package console serves the page on which an operator sees the state of Clientele, retries and drops rejections, resolves webhooks, and
// looks up operations. It shows personal data only on request, and records that in the audit trail.
package console

import (
	"context"
	"crypto/tls"

	"clientele/cmd/internal/callers"
	"clientele/cmd/internal/console/job"
	"clientele/cmd/internal/console/story"
	"clientele/cmd/internal/console/watch"
	"clientele/cmd/internal/inspect"
	"clientele/domain"
	"clientele/publisher/ingress/auth"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// Options say where the console is served, and to whom.
type Options struct {
	// Listen is HOST:PORT; port 0 picks a free one.
	Listen string
	// Options are the keys and the issuer of those who may look and act. Without them, the console is served on loopback only. Beside an
	// API, its callers are those of the API.
	callers.Options
	// Optional has the process run without a console while another program uses the address.
	Optional bool
}

// Store is what the console reads from the database.
type Store interface {
	inspect.Store
	story.Store
}

// Audit records what operators do, see audit.Recorder, and refusals, see audit.Collector.
type Audit interface {
	Record(ctx context.Context, records ...domain.AuditRecord) error
	Act(ctx context.Context, record domain.AuditRecord, do func(end *domain.AuditRecord) error) error
	Collect(record domain.AuditRecord)
}

// Config has what the console shows, and what it uses.
type Config struct {
	// Conn is a connection with the rights of an operator.
	Conn          *nats.Conn
	Store         Store
	Audit         Audit
	Authenticator auth.Authenticator
	Version       string
	// Serves reports that the process also has an API, and is configured with the flags of serve.
	Serves bool
}

// Console is the console of a process.
type Console struct {
	cfg       Config
	js        jetstream.JetStream
	open      bool // without authentication
	secure    bool // served with TLS
	allowHost func(host string) bool
	explain   func(error) error
	log       zerolog.Logger

	stopRequests context.CancelFunc

	sessions *sessions
	watch    *watch.Watch
	jobs     *job.Jobs
	stories  story.Finder
}

// surroundings are what a console has from its process and its listener.
type surroundings struct {
	open        bool
	certificate *tls.Config
	allowHost   func(host string) bool
	explain     func(error) error
	log         zerolog.Logger
}

func newConsole(cfg Config, s surroundings) (*Console, error) {
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, err
	}
	looker, err := inspect.New(inspect.Config{Conn: cfg.Conn, Store: cfg.Store, Explain: s.explain})
	if err != nil {
		return nil, err
	}
	return &Console{
		cfg: cfg, js: js, open: s.open, secure: s.certificate != nil, allowHost: s.allowHost, explain: s.explain, log: s.log,
		sessions: newSessions(), jobs: job.NewJobs(),
		stories: story.Finder{JetStream: js, Store: cfg.Store, Explain: s.explain},
		watch:   watch.New(watch.Config{Looker: looker, JetStream: js, Explain: s.explain}),
	}, nil
}
