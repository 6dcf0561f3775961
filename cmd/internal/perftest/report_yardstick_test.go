//go:build bench

package perftest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/loadtest"
	"clientele/cmd/internal/process"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/store/postgres"
	"clientele/store/storetest"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
)

// yardstickVariable is the environment variable with the database URL for the yardstick process.
const yardstickVariable = "CLIENTELE_YARDSTICK"

// yardstickConns is the best number of connections from the yardstick to PostgreSQL. On 2 cores, over all numbers of callers and two runs,
// it reached 3,500 clients/s with 8 of them, 4,500 with 16, 4,600 with 32 and 5,000 with 64.
const yardstickConns = 64

// yardstick measures the obvious alternative: a handler that inserts the client and answers 201.
func (r *benchReport) yardstick(t *testing.T) {
	database := storetest.StartPostgres(t).URL()
	clients, err := postgres.Open(t.Context(), postgres.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := clients.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := clients.Close(); err != nil {
		t.Fatal(err)
	}
	server := testcluster.StartWith(t, []string{yardstickVariable + "=" + database}, os.Args[0])
	for _, connections := range connectionCounts {
		ctx, cancel := context.WithTimeout(t.Context(), r.length)
		began := time.Now()
		load := sendTo(ctx, t, loadtest.Config{URL: server.API(), Connections: connections}, http.StatusCreated)
		took := time.Since(began)
		cancel()
		result := load.Result(took, took)
		result.CompletedRate = result.AcceptedRate // its answer means that the client is stored
		r.add(t, setupYardstick, connections, result)
	}
	server.Stop()
}

// init turns this process into the yardstick if it was started as one. Like the services, the yardstick has its own process.
func init() { //nolint:gochecknoinits // TestMain is in every build, and the yardstick only in this one
	if database := os.Getenv(yardstickVariable); database != "" {
		if err := serveYardstick(database); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
}

func serveYardstick(database string) error {
	cfg, err := pgxpool.ParseConfig(database)
	if err != nil {
		return err
	}
	cfg.MaxConns = yardstickConns
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/clients", func(w http.ResponseWriter, r *http.Request) {
		id, record, err := insertClient(r.Context(), pool, http.MaxBytesReader(w, r.Body, 64<<10))
		switch {
		case domain.CodeOf(err) == domain.CodeInvalid || domain.CodeOf(err) == domain.CodeMalformed:
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Location", "/api/v2/clients/"+id)
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write(record)
		}
	})
	p := process.New(process.Config{Log: zerolog.New(os.Stderr).With().Timestamp().Logger(), StopTimeout: time.Minute})
	if _, err := p.Serve(process.HTTP{Name: "API", Address: "127.0.0.1:0", Handler: mux}); err != nil {
		return err
	}
	<-ctx.Done()
	return p.Stop()
}

// insertClient parses a client like the ingress and the worker, and inserts one row in its own transaction.
func insertClient(ctx context.Context, pool *pgxpool.Pool, body io.Reader) (id string, record []byte, err error) {
	content, err := io.ReadAll(body)
	if err != nil {
		return "", nil, err
	}
	now := time.Now()
	details, err := domain.Parse(content, now)
	if err != nil {
		return "", nil, err
	}
	newID, err := domain.NewID()
	if err != nil {
		return "", nil, err
	}
	command, err := domain.NewCreateClient(newID, "anonymous", now, details)
	if err != nil {
		return "", nil, err
	}
	c := command.Client(now)
	if c.Address == nil || c.CommunicationPreferences != nil {
		return "", nil, errors.New("the yardstick takes clients of clientele bench only: with an address, without preferences")
	}
	const insert = `INSERT INTO clients (id, first_name, last_name, email_address, title, middle_name, company_name,
			telephone_number, alt_telephone_number, pronouns, prefers_email, prefers_phone, prefers_sms, prefers_post,
			avatar_url, dob, nationality, ni_number, occupation, address_line_1, address_line_2, address_line_3,
			address_post_town, address_county, address_postcode, address_uprn, status, fingerprint, caller, accepted_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, NULL, NULL, NULL, $11, $12, $13, $14, $15, $16, $17, $18, $19,
			$20, $21, $22, $23, $24, $25, $26, $27)`
	if _, err := pool.Exec(ctx, insert, [16]byte(c.ID), c.FirstName, c.LastName, c.EmailAddress, c.Title, c.MiddleName,
		c.CompanyName, c.TelephoneNumber, c.AltTelephoneNumber, c.Pronouns, c.AvatarURL, c.DOB, c.Nationality, c.NINumber,
		c.Occupation, c.Address.Line1, c.Address.Line2, c.Address.Line3, c.Address.PostTown, c.Address.County,
		c.Address.Postcode, c.Address.UPRN, string(c.Status), c.Fingerprint[:], c.Caller, c.AcceptedAt, c.CreatedAt); err != nil {
		return "", nil, err
	}
	record, err = c.JSON()
	return c.ID.String(), record, err
}
