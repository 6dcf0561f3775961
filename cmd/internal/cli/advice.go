package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/callers"
	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"
	"clientele/cmd/internal/refusal"
	"clientele/cmd/internal/served"
	"clientele/publisher"
	"clientele/publisher/audit"
	"clientele/publisher/endpoint"
	"clientele/publisher/streams"
	"clientele/publisher/subscription"
	"clientele/store"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
)

// Packages report errors without knowing flags and commands. This file adds what an operator can do about them.

// advisedError is an error with advice.
type advisedError struct {
	text string
	err  error
}

func (e *advisedError) Error() string { return e.text }
func (e *advisedError) Unwrap() error { return e.err }

// advise returns the error with advice for an operator, or unchanged if there is none.
func advise(err error) error {
	if _, advised := errors.AsType[*advisedError](err); advised || err == nil {
		return err
	}
	text := cmp.Or(limitAdvice(err), optionAdvice(err), setupAdvice(err), rightAdvice(err), refusalAdvice(err), missingFileAdvice(err))
	if text == "" && disconnected(err) {
		text = "NATS cannot be reached"
	}
	if text == "" {
		return err
	}
	return &advisedError{text, err}
}

// flagOf has the flag of each option.
var flagOf = map[option.Name]string{
	option.AdminListen:           "--admin-listen",
	option.AllowedHosts:          "--allowed-host",
	option.BatchSize:             "--batch-size",
	option.Concurrency:           "--concurrency",
	option.ConnectionsPerAddress: "--max-connections-per-address",
	option.ConsoleListen:         "--console-listen",
	option.DataDir:               "--data-dir",
	option.DatabaseURL:           "--database-url",
	option.History:               "--history",
	option.KeysFile:              "--keys-file",
	option.KeysGrace:             "--keys-grace",
	option.Listen:                "--listen",
	option.MaxConnections:        "--max-connections",
	option.MaxRequests:           "--max-requests",
	option.MaxWaiting:            "--max-waiting",
	option.NATSCA:                "--nats-ca",
	option.NATSCert:              "--nats-cert",
	option.NATSConfig:            "--nats-config",
	option.NATSCreds:             "--nats-creds",
	option.NATSEncryptionKeyFile: "--nats-encryption-key-file",
	option.NATSKey:               "--nats-key",
	option.NATSListen:            "--nats-listen",
	option.NATSURL:               "--nats-url",
	option.NoAuth:                "--insecure-no-auth",
	option.OIDCAudience:          "--oidc-audience",
	option.OIDCIssuer:            "--oidc-issuer",
	option.RateLimit:             "--rate-limit",
	option.StopTimeout:           "--shutdown-timeout",
	option.TLSCert:               "--tls-cert",
	option.TLSKey:                "--tls-key",
}

// optionAdvice names the flags of an option that is not valid.
func optionAdvice(err error) string {
	if open, ok := errors.AsType[*callers.OpenError](err); ok && open.Console {
		return open.Error() + ": set --keys-file (see clientele keys new --help) or --oidc-issuer"
	} else if ok {
		return open.Error() + ": set --keys-file (see clientele keys new --help) or --oidc-issuer, or pass --insecure-no-auth"
	}
	if missing, ok := errors.AsType[*app.MissingDatabaseError](err); ok {
		return missing.Error() + ": pass the --data-dir of the clientele serve that has the clients, or --database-url"
	}
	if stopped, ok := errors.AsType[*served.MissingError](err); ok {
		return stopped.Error() + ": start clientele serve, pass the --data-dir of one that runs, or pass --nats-url"
	}
	if _, ok := errors.AsType[*audit.FileError](err); ok {
		return err.Error() + ": check the file of --audit-log"
	}
	option, ok := errors.AsType[*option.Error](err)
	if !ok {
		return ""
	}
	flags := make([]string, len(option.Options))
	for i, o := range option.Options {
		flags[i] = flagOf[o]
	}
	text := strings.Join(flags, " and ") + ": " + option.Err.Error()
	if flags[0] == "--keys-file" {
		text += "; see clientele keys new --help"
	}
	return text
}

// limitAdvice names the flag of a time limit that was exceeded.
func limitAdvice(err error) string {
	if limit, ok := errors.AsType[*app.TimeoutError](err); ok {
		return fmt.Sprintf("gave up after %s (--timeout): %v", limit.Timeout, advise(limit.Err))
	}
	if limit, ok := errors.AsType[*process.StopTimeoutError](err); ok {
		return limit.Error() + "; to allow more time, raise --shutdown-timeout"
	}
	return ""
}

// setupAdvice says what to do about a server that is not set up for this program.
func setupAdvice(err error) string {
	if schema, ok := errors.AsType[*store.SchemaError](err); ok && schema.Have > schema.Want {
		return err.Error() + ": run a newer clientele"
	}
	if stream, ok := errors.AsType[*streams.RefusedError](err); ok {
		return fmt.Sprintf("NATS refuses stream %s (check --log-max-bytes, --event-max-bytes and --replicas): %v", stream.Stream, stream.Err)
	}
	if lost, ok := errors.AsType[*app.LostError](err); ok {
		return lost.Error() + ": the others exist, so it was lost. Restore it, or create it empty: run clientele migrate " +
			"with the same --data-dir, --nats-url and --database-url"
	}
	if subscription, ok := errors.AsType[*subscription.MissingError](err); ok {
		return subscription.Error() + ": create it as the operator, run clientele events subscribe " + subscription.Name
	}
	if subscription, ok := errors.AsType[*subscription.ExistingError](err); ok {
		return subscription.Error() + ": to change it, run clientele events unsubscribe " + subscription.Name + " first"
	}
	if text := webhookAdvice(err); text != "" {
		return text
	}
	_, noConsumer := errors.AsType[*publisher.MissingConsumerError](err)
	if noConsumer || app.WrongSetup(err) {
		return err.Error() + ": run clientele migrate"
	}
	return ""
}

// webhookAdvice says what to do about an endpoint.
func webhookAdvice(err error) string {
	if missing, ok := errors.AsType[*endpoint.MissingError](err); ok {
		return missing.Error() + ": see clientele webhooks ls"
	}
	if conflict, ok := errors.AsType[*endpoint.ConflictError](err); ok {
		return conflict.Error() + "; run this again"
	}
	if unknown, ok := errors.AsType[*endpoint.UnknownError](err); ok {
		return unknown.Error() + ": run this again. If a new webhook then exists, run clientele webhooks rotate " + unknown.Name + ", which prints a secret"
	}
	if many, ok := errors.AsType[*endpoint.TooManySecretsError](err); ok {
		return many.Error() + ": run this again later, or with --overlap 0s, which ends all of them at once"
	}
	if sealed, ok := errors.AsType[*endpoint.SealError](err); ok {
		return sealed.Error() + ": run clientele webhooks rotate " + sealed.Name
	}
	if errors.Is(err, endpoint.ErrNoForwarder) {
		return err.Error() + ": start clientele serve or clientele forward"
	}
	return ""
}

// rightAdvice says what to do about a right that the NATS user lacks.
func rightAdvice(err error) string {
	right, ok := errors.AsType[*refusal.PermissionError](err)
	switch {
	case !ok:
		return ""
	case right.User == right.Role:
		return right.Error() + ": grant it as deploy/nats/accounts.conf does"
	default:
		return fmt.Sprintf("%v: use the %s's credentials (--nats-url, --nats-creds)", right, right.Role)
	}
}

var adviceOnRefusals = map[refusal.Reason]string{
	refusal.DatabasePassword:          "check the user and the password in --database-url",
	refusal.DatabaseUser:              "check the user and the sslmode in --database-url, and the server's pg_hba.conf",
	refusal.DatabaseMissing:           "create the database, or use another one in --database-url",
	refusal.DatabaseRight:             "use a role with this right in --database-url, see deploy/postgres/roles.sql",
	refusal.DatabaseUntrusted:         "set the certificate authority of PostgreSQL with sslrootcert=FILE in --database-url, and use the host name in its certificate",
	refusal.DatabaseClientCertificate: "set a certificate with sslcert=FILE and sslkey=FILE in --database-url",
	refusal.NATSUntrusted:             "pass the certificate authorities of NATS as --nats-ca, and use the host name in its certificate in --nats-url",
	refusal.NATSClientCertificate:     "pass a certificate that NATS accepts as --nats-cert and --nats-key",
	refusal.NATSWithoutTLS:            "NATS has no TLS: use nats:// in --nats-url, without --nats-ca and --nats-cert",
	refusal.NATSAccount: "the account of the NATS user does not reach the streams: use the user that deploy/nats/accounts.conf has for " +
		"this command (--nats-url, --nats-creds), and import what the file imports",
	refusal.NATSVersion: "upgrade every server of --nats-url",
	refusal.NATSUser:    "check the user and the password in --nats-url, or the file of --nats-creds",
}

// refusalAdvice says what to do about a server that refuses this program.
func refusalAdvice(err error) string {
	advice := adviceOnRefusals[refusal.Of(err)]
	if advice == "" {
		return ""
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Sprintf("PostgreSQL: %s (SQLSTATE %s): %s", server.Message, server.Code, advice)
	}
	return err.Error() + ": " + advice
}

// missingFileAdvice names a file that does not exist, without the system call that did not find it.
func missingFileAdvice(err error) string {
	missing, ok := errors.AsType[*fs.PathError](err)
	if !ok || !errors.Is(missing, fs.ErrNotExist) {
		return ""
	}
	return strings.Replace(err.Error(), missing.Error(), missing.Path+" does not exist", 1)
}

// untrustedAPI adds advice to the error about the certificate of the API.
func untrustedAPI(err error) error {
	return &advisedError{err.Error() + ": pass the certificate authorities of the API as --ca", err}
}

// checkAPI is what to do about an API that refuses every request.
const checkAPI = "check --url, and the API key in CLIENTELE_TOKEN or --token"

// disconnected reports whether a request was not sent because there is no connection to NATS.
func disconnected(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrDisconnected)
}
