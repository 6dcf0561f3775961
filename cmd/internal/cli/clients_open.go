package cli

import (
	"context"
	"errors"
	"time"

	"clientele/cmd/internal/app"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/audit"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

// clientFacts describe a client without personal data.
type clientFacts struct {
	ID         uuid.UUID     `json:"id"`
	Status     domain.Status `json:"status"`
	AcceptedAt time.Time     `json:"acceptedAt"`
	CreatedAt  time.Time     `json:"createdAt"`
	// Caller and KeyID are set only when one client is shown.
	Caller string `json:"caller,omitzero"`
	KeyID  string `json:"keyId,omitzero"`
	// LegalHold is nil unless a hold counts.
	LegalHold *holdFacts `json:"legalHold,omitzero"`
	// Record is personal data. It is set only on request.
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

// systemFlags name the two halves of a system, clients and streams, for a command that is recorded on its audit trail.
type systemFlags struct {
	operatorFlags `embed:"" group:"nats"`
	databaseFlags `embed:"" group:"database"`
	auditFlags    `embed:""`
}

// connect opens the clients and connects to NATS. The caller calls closeAll.
func (f *systemFlags) connect(e env) (clients store.Store, nc *nats.Conn, closeAll func(), err error) {
	if err := f.oneSystem(f.NatsURL, f.url()); err != nil {
		return nil, nil, nil, err
	}
	if clients, err = (clientsFlags{f.servedFlag, f.databaseFlags}).openClients(e.ctx); err != nil {
		return nil, nil, nil, err
	}
	if nc, err = f.dial(e); err != nil {
		return nil, nil, nil, errors.Join(err, clients.Close())
	}
	return clients, nc, func() {
		nc.Close()
		_ = clients.Close()
	}, nil
}

// openToRead opens the clients, and the audit trail on which reads are recorded. The caller calls closeAll.
func (f *systemFlags) openToRead(e env) (clients store.Store, trail *audit.Recorder, closeAll func(), err error) {
	clients, nc, closeAll, err := f.connect(e)
	if err != nil {
		return nil, nil, nil, err
	}
	if trail, err = f.recorder(e.ctx, nc); err != nil {
		closeAll()
	}
	return clients, trail, closeAll, err
}

// askFlags are the flags of a command that acts on clients and their messages after a confirmation.
type askFlags struct {
	confirmFlags `embed:""`
	systemFlags  `embed:""`
}

// open is systemFlags.open. It returns an error if the command must ask and standard input is not a terminal.
func (f *askFlags) open(e env) (clients store.Store, streams *publisher.Admin, closeAll func(), err error) {
	if err := f.checkTerminal(e); err != nil {
		return nil, nil, nil, err
	}
	return f.systemFlags.open(e)
}

// open opens the clients and the streams with the messages about them. The caller calls closeAll.
func (f *systemFlags) open(e env) (clients store.Store, streams *publisher.Admin, closeAll func(), err error) {
	clients, nc, closeAll, err := f.connect(e)
	if err != nil {
		return nil, nil, nil, err
	}
	if streams, err = publisher.OpenAdmin(e.ctx, nc); err != nil {
		closeAll()
	}
	return clients, streams, closeAll, err
}

// openClients opens the database that has the clients. It must exist, with the schema of this program.
func (f clientsFlags) openClients(ctx context.Context) (store.Store, error) {
	return app.StoreOptions{URL: f.url(), DataDir: f.dir()}.OpenClients(ctx)
}
