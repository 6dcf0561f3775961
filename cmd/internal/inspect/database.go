package inspect

import (
	"context"
	"time"
)

// database returns the state of the database.
func (l *Looker) database(ctx context.Context) Database {
	if l.cfg.Store == nil {
		return Database{Error: oneLine(l.cfg.Explain(l.cfg.StoreError))}
	}
	began := time.Now()
	description, err := l.cfg.Store.Describe(ctx)
	d := Database{
		Product: description.Product, Version: description.Version,
		Schema: description.Schema.Version, Program: description.Program, ResponseSeconds: time.Since(began).Seconds(),
	}
	if err != nil {
		d.Error = l.failure(ctx, err)
		return d
	}
	d.Answers = true
	if err := description.Schema.Check(description.Program); err != nil {
		d.Error = oneLine(l.cfg.Explain(err))
	}
	return d
}
