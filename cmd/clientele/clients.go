package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"clientele/publisher"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"
)

// clientsFlags say where the clients are, for the operator's tools.
type clientsFlags struct {
	DataDir string `default:"./clientele-data" placeholder:"DIR" help:"Data directory of the clientele serve that has the clients; unused with --database-url (${default})."`

	databaseFlags `embed:"" group:"database"`
}

// askFlags are those of a command that works on clients and their messages, and asks before.
type askFlags struct {
	confirmFlags  `embed:""`
	operatorFlags `embed:"" group:"nats"`
	clientsFlags  `embed:"" group:"database"`
}

// open returns the clients, and the streams with the messages about them, given that somebody can be asked where that has to
// be. The caller calls closeAll.
func (f *askFlags) open(e env) (clients store.Store, streams *publisher.Streams, closeAll func(), err error) {
	if err := f.checkTerminal(e); err != nil {
		return nil, nil, nil, err
	}
	if clients, err = f.openClients(e.ctx); err != nil {
		return nil, nil, nil, err
	}
	nc, err := natsFlags(f.operatorFlags).connectNow("operator")
	if err != nil {
		return nil, nil, nil, errors.Join(err, clients.Close())
	}
	closeAll = func() {
		nc.Close()
		_ = clients.Close()
	}
	if streams, err = publisher.OpenStreams(e.ctx, nc); err != nil {
		closeAll()
	}
	return clients, streams, closeAll, err
}

// openClients returns the store that has the clients. It makes none.
func (f *clientsFlags) openClients(ctx context.Context) (store.Store, error) {
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
