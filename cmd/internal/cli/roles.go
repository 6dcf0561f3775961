package cli

import (
	"context"
	"time"

	"clientele/cmd/internal/process"
	"clientele/consumer"
	"clientele/publisher"
	"clientele/store"

	"github.com/nats-io/nats.go"
)

// start processes the command log and returns the checks of its readiness.
func (f workerFlags) start(ctx context.Context, p *process.Process, conn *nats.Conn, db store.Store) ([]process.Check, error) {
	var outcomes *publisher.OutcomePublisher
	var worker *consumer.Worker
	err := await(ctx, p, "the command log", func(ctx context.Context) (err error) {
		if outcomes, err = publisher.OpenOutcomePublisher(ctx, conn); err != nil {
			return err
		}
		worker, err = consumer.New(ctx, consumer.Config{
			Conn:        conn,
			Store:       db,
			Outcomes:    outcomes,
			Log:         p.Log,
			BatchSize:   f.BatchSize,
			Concurrency: f.Concurrency,
			History:     f.History,
			Metrics:     p.Metrics,
			Traces:      p.Traces,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	p.Metrics.MustRegister(worker)
	p.Go(ctx, "worker", worker.Run)
	return []process.Check{
		{Name: "outcome streams", Probe: outcomes.Ready},
		{Name: "consumer", Probe: worker.Ready},
	}, nil
}

// maxAdminConnections is more than monitoring needs.
const maxAdminConnections = 64

// start is startProcess with the flags. Afterwards they have the port, where that was left to choose.
func (f *processFlags) start(ctx context.Context, p *process.Process, e env) (admin *process.Admin, err error) {
	admin, f.AdminListen, err = startProcess(ctx, p, e, f.AdminListen)
	return admin, err
}

// startProcess begins to trace, and serves the admin endpoints at the address; "" is nowhere. They answer at once, so that a
// monitor sees what a process waits for. It returns the address with its port.
func startProcess(ctx context.Context, p *process.Process, e env, address string) (admin *process.Admin, bound string, err error) {
	p.TuneMemory(e.getenv("GOMEMLIMIT") != "")
	if err := p.StartTracing(ctx, buildVersion(), e.stdout); err != nil {
		return nil, "", err
	}
	admin = process.NewAdmin(p) //nolint:contextcheck // nor has a look at its metrics one
	if address == "" {
		return admin, "", nil
	}
	bound, err = serveHTTP(p, process.HTTP{Name: "--admin-listen", Address: address, Handler: admin.Handler(), MaxConnections: maxAdminConnections})
	return admin, bound, err
}

// serveHTTP serves HTTP at an address that came from the flag with the server's name. An error says what to do.
func serveHTTP(p *process.Process, server process.HTTP) (address string, err error) {
	if address, err = p.Serve(server); err != nil {
		return "", listenAdvice(server.Name, server.Address, err)
	}
	return address, nil
}

// refuseSchema returns an error if the database answers and its schema is not this program's. If the database is away,
// the answer is awaited in the background: what does not need the database can go on meanwhile.
func refuseSchema(ctx context.Context, p *process.Process, db store.Store) error {
	first, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := db.Ready(first)
	if err == nil || permanent(err) {
		return err
	}
	p.Go(ctx, "wait for the database", func(ctx context.Context) {
		// It accepts commands by now: a password that PostgreSQL refuses does not end it.
		if err := awaitUnless(ctx, p, "the database; commands are accepted meanwhile", db.Ready, wrongSetup); wrongSetup(err) {
			p.Fatal(err)
		}
	})
	return nil
}
