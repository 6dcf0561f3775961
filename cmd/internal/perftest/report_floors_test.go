//go:build bench

package perftest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"clientele/cmd/internal/loadtest"
	"clientele/cmd/internal/process"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/publishertest"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"
	"clientele/store/storetest"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// The stages, each measured alone. The stages of a limit are those of a client from its request until a subscriber has its event.
const (
	stageHTTP      = "HTTP: decode, validate, answer"
	stageSingly    = "log: append, one by one"
	stageAppend    = "log: append"
	stageConsume   = "log: fetch, ack"
	stageWork      = "log: fetch, decode, make event, ack"
	stagePostgres  = "store: PostgreSQL"
	stageSQLite    = "store: SQLite"
	stagePublish   = "events: publish"
	stageSubscribe = "events: publish, with a subscriber"
)

var (
	allStages = []string{
		stageHTTP, stageSingly, stageAppend, stageConsume, stageWork, stagePostgres, stageSQLite, stagePublish, stageSubscribe,
	}
	// stagesOf has the stages that a client passes through.
	stagesOf = map[string][]string{
		setupSeparate: {stageHTTP, stageAppend, stageWork, stagePostgres, stageSubscribe},
		setupEmbedded: {stageHTTP, stageAppend, stageWork, stageSQLite, stageSubscribe},
	}
)

// stageCallers is the number of goroutines that drive a stage, in place of as many connections of an ingress.
const stageCallers = 256

// cost is the rate of a stage, and the processor time of each client in it: of this process, which includes the load generator, and of
// the server.
type cost struct {
	rate      float64 // clients/s
	processor time.Duration
}

// measure runs a stage, which returns the number of clients. server is the process id of its server, or 0.
func (r *benchReport) measure(t *testing.T, stage string, server int, run func() int) {
	used, began := loadtest.ProcessorTime()+processorTimeOf(t, server), time.Now()
	n := run()
	took := time.Since(began)
	used = loadtest.ProcessorTime() + processorTimeOf(t, server) - used
	if n == 0 {
		t.Fatal("no client passed the stage: " + stage)
	}
	r.stages[stage] = append(r.stages[stage], cost{float64(n) / took.Seconds(), used / time.Duration(n)})
}

func (r *benchReport) measureStages(t *testing.T) {
	command := benchCommand(t)
	r.measureHTTP(t)
	r.measureStores(t, command.Client(time.Now()))
	r.measureStreams(t, command)
}

// benchCommand returns a command like those of clientele bench.
func benchCommand(t *testing.T) domain.CreateClient {
	details, err := domain.Parse(fmt.Appendf(nil, loadtest.Body, 1), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	command, err := domain.NewCreateClient(uuid.Nil, "anonymous", time.Now(), details)
	if err != nil {
		t.Fatal(err)
	}
	return command
}

// measureHTTP drives an ingress whose log accepts at once with the callers of clientele bench.
func (r *benchReport) measureHTTP(t *testing.T) {
	p := process.New(process.Config{Log: zerolog.New(os.Stderr).Level(zerolog.WarnLevel), StopTimeout: time.Minute})
	defer func() { _ = p.Stop() }()
	address, err := p.Serve(process.HTTP{Address: "127.0.0.1:0", Handler: ingress.NewHandler(acceptingLog{}, nil, ingress.Config{Authenticator: auth.AllowAll{}})})
	if err != nil {
		t.Fatal(err)
	}
	r.measure(t, stageHTTP, 0, func() int {
		ctx, cancel := context.WithTimeout(t.Context(), r.length)
		defer cancel()
		return int(sendTo(ctx, t, loadtest.Config{URL: "http://" + address, Connections: stageCallers}, http.StatusAccepted).Accepted())
	})
}

// acceptingLog accepts every command at once.
type acceptingLog struct{ ingress.Log }

func (acceptingLog) Append(_ context.Context, command domain.CreateClient) (time.Time, error) {
	return command.AcceptedAt, nil
}

func (r *benchReport) measureStores(t *testing.T, client domain.Client) {
	server := storetest.StartPostgres(t)
	onServer, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	inFile, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "clientele.db")})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		stage  string
		server int
		store  store.Store
	}{
		{stagePostgres, server.Pid(), onServer},
		{stageSQLite, 0, inFile},
	} {
		if _, _, err := s.store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		batch := make([]domain.Client, consumer.DefaultBatchSize)
		r.measure(t, s.stage, s.server, func() int {
			return len(batch) * r.during(t, 1, func() error {
				for i := range batch {
					batch[i] = client
					batch[i].ID = publishertest.NewID(t)
				}
				_, err := s.store.Create(t.Context(), batch)
				return err
			})
		})
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// sendTo sends requests as fast as the service answers with the status, until the context ends.
func sendTo(ctx context.Context, t *testing.T, cfg loadtest.Config, status int) *loadtest.Load {
	t.Helper()
	load, err := loadtest.NewLoad(cfg, loadtest.NewLedger())
	if err != nil {
		t.Fatal(err)
	}
	load.AcceptedStatus = status
	if err := load.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return load
}
