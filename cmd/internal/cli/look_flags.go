package cli

import (
	"errors"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/served"
	"clientele/store"

	"github.com/nats-io/nats.go"
)

// lookFlags name the two halves of a system for a command that looks at it and changes nothing.
type lookFlags struct {
	operatorFlags `embed:"" group:"nats"`
	databaseFlags `embed:"" group:"database"`
}

// looked is what a command looks at.
type looked struct {
	inspect.Config

	// NATSError says why there is no connection to NATS.
	NATSError error
}

// open connects to NATS and opens the database. A half that cannot be opened has its error in the result. The caller calls close.
func (f *lookFlags) open(e env) (*looked, error) {
	if err := f.oneSystem(f.NatsURL, f.url()); err != nil {
		return nil, err
	}
	l := &looked{Config: inspect.Config{Explain: advise, Refusals: &inspect.Refusals{}}}
	var db store.Store
	if db, l.StoreError = (app.StoreOptions{URL: f.url(), DataDir: f.dir()}).OpenExisting(e.ctx); l.StoreError == nil {
		l.Store = db
	}
	l.Conn, l.NATSError = f.options().Dial("operator", l.Refusals.Add)
	return l, nil
}

// reconnect connects to NATS again if the connection was lost. An error stays in l.NATSError.
func (f *lookFlags) reconnect(l *looked) (changed bool) {
	if l.Conn != nil && !l.Conn.IsClosed() {
		return false
	}
	var nc *nats.Conn
	if nc, l.NATSError = f.options().Dial("operator", l.Refusals.Add); l.NATSError == nil {
		l.Conn = nc
	}
	return l.NATSError == nil
}

// stopped reports whether nothing is wrong but that no serve runs in the data directory.
func (l *looked) stopped() bool {
	_, noNATS := errors.AsType[*served.MissingError](l.NATSError)
	_, noDatabase := errors.AsType[*app.MissingDatabaseError](l.StoreError)
	return noNATS && (noDatabase || l.StoreError == nil)
}

func (l *looked) close() {
	if l.Conn != nil {
		l.Conn.Close()
	}
	if db, ok := l.Store.(store.Store); ok {
		_ = db.Close()
	}
}
