package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	cfg    Config
	js     jetstream.JetStream
	before *sample
}

// New returns a Looker.
func New(cfg Config) (*Looker, error) {
	js, err := jetstream.New(cfg.Conn)
	if cfg.Explain == nil {
		cfg.Explain = func(err error) error { return err }
	}
	return &Looker{cfg: cfg, js: js}, err
}

// failure returns the text of an error for an operator.
func (l *Looker) failure(ctx context.Context, err error) string {
	if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return fmt.Sprintf("no answer within %s", lookTimeout)
	}
	return l.cfg.Explain(err).Error()
}
