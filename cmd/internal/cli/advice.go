package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"

	"clientele/cmd/internal/process"
	"clientele/consumer"
	"clientele/publisher"
	"clientele/store"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
)

// Errors of libraries say what happened. This file says which of them stay until a person acts, and what that person does.

// advisedError is an error in the words of an operator.
type advisedError struct {
	text string
	err  error
}

func (e *advisedError) Error() string { return e.text }
func (e *advisedError) Unwrap() error { return e.err }

// advise returns the error in the words of an operator, with what to do, where the error of a library says too little.
func advise(err error) error {
	if _, advised := errors.AsType[*advisedError](err); advised || err == nil {
		return err
	}
	text := cmp.Or(setupAdvice(err), stopAdvice(err), refusal(err))
	if text == "" && disconnected(err) {
		text = "NATS cannot be reached"
	}
	if text == "" {
		return err
	}
	return &advisedError{text, err}
}

// advised returns the checks with errors that say what to do.
func advised(checks []process.Check) []process.Check {
	for i, check := range checks {
		checks[i].Probe = func(ctx context.Context) error { return advise(check.Probe(ctx)) }
	}
	return checks
}

// permanent reports whether an error at the start of a process stays until a person acts. A process that already runs tries
// again after each of them but wrongSetup: passwords and certificates are renewed under it.
func permanent(err error) bool {
	_, right := errors.AsType[*permissionError](err)
	return right || wrongSetup(err) || refusal(err) != ""
}

// wrongSetup reports whether a server answers but is not set up for this program.
func wrongSetup(err error) bool {
	_, schema := errors.AsType[*store.SchemaError](err)
	_, refusedStream := errors.AsType[*publisher.RefusedStreamError](err)
	_, missingStream := errors.AsType[*publisher.MissingStreamError](err)
	_, missingConsumer := errors.AsType[*consumer.MissingConsumerError](err)
	_, lost := errors.AsType[*lostError](err)
	return schema || refusedStream || missingStream || missingConsumer || lost
}

// setupAdvice returns what to do about a server that is not set up for this program. It returns "" for any other error.
func setupAdvice(err error) string {
	if schema, ok := errors.AsType[*store.SchemaError](err); ok && schema.Have > schema.Want {
		return err.Error() + ": run a newer clientele"
	}
	if stream, ok := errors.AsType[*publisher.RefusedStreamError](err); ok {
		return fmt.Sprintf("NATS refuses stream %s, see --log-max-bytes and --replicas: %v", stream.Stream, stream.Err)
	}
	_, unknownDone := errors.AsType[*publisher.MissingConsumerError](err)
	if _, lost := errors.AsType[*lostError](err); !lost && (unknownDone || wrongSetup(err)) {
		return err.Error() + ": run clientele migrate"
	}
	return ""
}

// stopAdvice returns what to do about a stop that took too long. It returns "" for any other error.
func stopAdvice(err error) string {
	if _, ok := errors.AsType[*process.StopTimeoutError](err); ok {
		return err.Error() + "; to allow more time, raise --shutdown-timeout"
	}
	return ""
}

// listenAdvice returns the error about an address that cannot be listened on, with the flag that changes it.
func listenAdvice(flag, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use by another program: stop it, or choose another address with %s", address, flag)
	}
	return fmt.Errorf("cannot listen on %q, choose another HOST:PORT with %s: %w", address, flag, err)
}

// lockDataDir locks a data directory. An error names the flag that changes it.
func lockDataDir(dir string) (unlock func(), err error) {
	unlock, err = process.LockDir(dir)
	if _, used := errors.AsType[*process.InUseError](err); used {
		return nil, fmt.Errorf("%w: stop it, or choose another directory with --data-dir", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: choose another with --data-dir", err)
	}
	return unlock, nil
}

// databaseAdvice is what to do about the SQLSTATEs with which PostgreSQL refuses a program. A server that starts (57P03) or
// has too many connections (53300) refuses it for now only.
var databaseAdvice = map[string]string{
	"28P01": "check the user and the password in --database-url",
	"28000": "check the user and the sslmode in --database-url, and the server's pg_hba.conf",
	"3D000": "create the database, or name another one in --database-url",
	"42501": "name a role with this right in --database-url, see deploy/postgres/roles.sql",
}

// refusal returns that a server refuses this program, or this program a server, and what to do. It returns "" for any other
// error.
func refusal(err error) string {
	server, answered := errors.AsType[*pgconn.PgError](err)
	if answered && databaseAdvice[server.Code] != "" {
		return fmt.Sprintf("PostgreSQL: %s (SQLSTATE %s): %s", server.Message, server.Code, databaseAdvice[server.Code])
	}
	_, database := errors.AsType[*pgconn.ConnectError](err)
	for _, known := range []struct {
		is     bool
		advice string
	}{
		{database && untrusted(err), "name the certificate authority of PostgreSQL with sslrootcert=FILE in --database-url, and the host of its certificate"},
		{database && certificateRefused(err), "name a certificate with sslcert=FILE and sslkey=FILE in --database-url"},
		{errors.Is(err, nats.ErrTLS) && untrusted(err), "name the certificate authorities of NATS with --nats-ca, and the host of its certificate in --nats-url"},
		{!database && certificateRefused(err), "name a certificate that NATS accepts with --nats-cert and --nats-key"},
		{errors.Is(err, nats.ErrSecureConnWanted), "NATS has no TLS: use nats:// in --nats-url, without --nats-ca and --nats-cert"},
		{credentialsRefused(err), "check the user and the password in --nats-url, or the file of --nats-creds"},
	} {
		if known.is {
			return err.Error() + ": " + known.advice
		}
	}
	return ""
}

// credentialsRefused reports whether NATS refuses a user.
func credentialsRefused(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) ||
		errors.Is(err, nats.ErrAccountAuthExpired)
}

// untrusted reports whether the certificate of a server is not one to trust.
func untrusted(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return verification || authority || host || invalid
}

// certificateRefused reports whether a server refuses the certificate of this program, or misses one.
func certificateRefused(err error) bool {
	alert, ok := errors.AsType[*net.OpError](err)
	return ok && alert.Op == "remote error" && strings.Contains(alert.Err.Error(), "certificate")
}

// untrustedAPI returns the error about the certificate of the API, with what to do.
func untrustedAPI(err error) error {
	return &advisedError{err.Error() + ": name the certificate authorities of the API with --ca", err}
}

// disconnected reports whether a request was not sent because there is no connection to NATS.
func disconnected(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrDisconnected)
}

// permissionError is a right that the NATS user of a command lacks.
type permissionError struct {
	user            string // "" if it is in no URL
	role            string // the user of deploy/nats/users.conf that has the right
	action, subject string
}

func (e *permissionError) Error() string {
	user, advice := "the NATS user", fmt.Sprintf("use the %s's credentials (--nats-url, --nats-creds)", e.role)
	if e.user != "" {
		user = fmt.Sprintf("NATS user %q", e.user)
	}
	if e.user == e.role {
		advice = "grant it as deploy/nats/users.conf does"
	}
	return fmt.Sprintf("%s may not %s to %q: %s", user, e.action, e.subject, advice)
}

// violation is what a server sends about a right that is lacking.
var violation = regexp.MustCompile(`Permissions Violation for (Publish|Subscription) to "(\S+)"`)

// lackingRight returns the right that a server has reported as lacking, nil if the error is about something else. A request
// that lacks a right is not answered, so this is the only sign of it.
func lackingRight(nc *nats.Conn, role string, err error) error {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return nil
	}
	parts := violation.FindStringSubmatch(err.Error())
	if parts == nil {
		return nil
	}
	if role == "serve" {
		role = "operator" // which has the rights to set up streams
	}
	return &permissionError{
		user: userOf(nc.ConnectedUrl()), role: role,
		action: map[string]string{"Publish": "publish", "Subscription": "subscribe"}[parts[1]], subject: parts[2],
	}
}
