package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"clientele/cmd/internal/presence"
	"clientele/domain"
	"clientele/store"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// lookTimeout bounds one look.
const lookTimeout = 5 * time.Second

// Streams are the streams of an installation.
var Streams = []string{
	domain.StreamCommands, domain.StreamEvents, domain.StreamRejections, domain.StreamAudit, domain.StreamSubscriptions,
	domain.StreamWebhooks,
}

// Store is what a look needs of the database.
type Store interface {
	Describe(ctx context.Context) (store.Description, error)
	Ready(ctx context.Context) error
}

// Config configures New.
type Config struct {
	// Conn is a connection with the rights of an operator.
	Conn *nats.Conn
	// Refusals are those of the connection, or nil.
	Refusals *Refusals
	// Store is the database. If it is nil, StoreError says why it could not be opened.
	Store      Store
	StoreError error
	// Explain rewrites errors for an operator. The default is no change.
	Explain func(error) error
}

// Looker looks at an installation repeatedly. It is not safe for concurrent use.
type Looker struct {
	cfg       Config
	js        jetstream.JetStream
	processes *presence.Listener
	looked    bool
	before    *sample
}

// New returns a Looker. The caller calls Close, or closes the connection.
func New(cfg Config) (*Looker, error) {
	if cfg.Explain == nil {
		cfg.Explain = func(err error) error { return err }
	}
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, err
	}
	processes, err := presence.Listen(cfg.Conn)
	return &Looker{cfg: cfg, js: js, processes: processes}, err
}

// Close ends the look for processes.
func (l *Looker) Close() { l.processes.Close() }

// failure returns the text of an error for an operator.
func (l *Looker) failure(ctx context.Context, err error) string {
	if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return fmt.Sprintf("no answer within %s", lookTimeout)
	}
	return oneLine(l.cfg.Explain(err))
}

// oneLine returns the text of an error, which may have several lines, for a table.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
