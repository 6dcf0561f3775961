package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"

	"github.com/google/uuid"
)

// clientFacts are what is known of a client beside personal data.
type clientFacts struct {
	ID         uuid.UUID     `json:"id"`
	Status     domain.Status `json:"status"`
	AcceptedAt time.Time     `json:"acceptedAt"`
	CreatedAt  time.Time     `json:"createdAt"`
	// Record is personal data: it is set on request only.
	Record *domain.Client `json:"record,omitzero"`
}

// newClientFacts returns the facts, with the record if body is true.
func newClientFacts(c domain.Client, body bool) clientFacts {
	facts := clientFacts{ID: c.ID, Status: c.Status, AcceptedAt: c.AcceptedAt, CreatedAt: c.CreatedAt}
	if body {
		facts.Record = &c
	}
	return facts
}

// askFlags are those of a command that works on clients and their messages, and asks before.
type askFlags struct {
	confirmFlags  `embed:""`
	operatorFlags `embed:"" group:"nats"`
	clientsFlags  `embed:"" group:"database"`
}

// open returns the clients, and the streams with the messages about them, given that somebody can be asked where that has to
// be. The caller calls closeAll.
func (f *askFlags) open(e env) (clients store.Store, streams *publisher.Admin, closeAll func(), err error) {
	if err := f.checkTerminal(e); err != nil {
		return nil, nil, nil, err
	}
	if clients, err = f.openClients(e.ctx); err != nil {
		return nil, nil, nil, err
	}
	nc, err := natsFlags(f.operatorFlags).connectNow(e, "operator")
	if err != nil {
		return nil, nil, nil, errors.Join(err, clients.Close())
	}
	closeAll = func() {
		nc.Close()
		_ = clients.Close()
	}
	if streams, err = publisher.OpenAdmin(e.ctx, nc); err != nil {
		closeAll()
	}
	return clients, streams, closeAll, err
}

// openClients returns the store that has the clients, with the schema of this program. It makes none.
func (f *clientsFlags) openClients(ctx context.Context) (store.Store, error) {
	clients, err := f.openStore(ctx)
	if err != nil {
		return nil, err
	}
	if err := clients.Ready(ctx); err != nil {
		return nil, errors.Join(err, clients.Close())
	}
	return clients, nil
}

func (f *clientsFlags) openStore(ctx context.Context) (store.Store, error) {
	if f.DatabaseURL != "" {
		clients, err := postgres.Open(ctx, postgres.Config{URL: f.DatabaseURL})
		if err != nil {
			return nil, fmt.Errorf("--database-url: %w", err)
		}
		return clients, nil
	}
	path := filepath.Join(f.DataDir, "clientele.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: give the --data-dir of the clientele serve that has the clients, or --database-url", path)
	}
	return sqlite.Open(ctx, sqlite.Config{Path: path})
}
