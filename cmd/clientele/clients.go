package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"
)

// clientsFlags say where the clients are, for the operator's tools.
type clientsFlags struct {
	DataDir string `default:"./clientele-data" placeholder:"DIR" help:"Data directory of the clientele serve that has the clients; unused with --database-url (${default})."`

	databaseFlags `embed:""`
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
