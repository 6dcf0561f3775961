package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"clientele/consumer"
	"clientele/publisher"
	"clientele/store"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Permanent reports whether an error at the start of a process remains until an operator acts. A running process retries after each
// of them except those of WrongSetup: passwords and certificates are renewed while it runs.
func Permanent(err error) bool {
	_, right := errors.AsType[*PermissionError](err)
	return right || WrongSetup(err) || RefusalOf(err) != NoRefusal
}

// WrongSetup reports whether a server responds but is not set up for this program.
func WrongSetup(err error) bool {
	_, schema := errors.AsType[*store.SchemaError](err)
	_, refusedStream := errors.AsType[*publisher.RefusedStreamError](err)
	_, missingStream := errors.AsType[*publisher.MissingStreamError](err)
	_, missingConsumer := errors.AsType[*consumer.MissingConsumerError](err)
	_, missingSubscription := errors.AsType[*publisher.MissingSubscriptionError](err)
	_, lost := errors.AsType[*LostError](err)
	return schema || refusedStream || missingStream || missingConsumer || missingSubscription || lost
}

// LostError reports that a stream, the consumer or the database is missing while the others exist.
type LostError struct{ Err error }

func (e *LostError) Error() string { return e.Err.Error() }

// Refusal is why a server refuses this program, or this program a server, until an operator acts.
type Refusal string

// The refusals.
const (
	NoRefusal                 Refusal = ""
	DatabasePassword          Refusal = "database password"
	DatabaseUser              Refusal = "database user"
	DatabaseMissing           Refusal = "database missing"
	DatabaseRight             Refusal = "database right"
	DatabaseUntrusted         Refusal = "database certificate"
	DatabaseClientCertificate Refusal = "database client certificate"
	NATSUntrusted             Refusal = "NATS certificate"
	NATSClientCertificate     Refusal = "NATS client certificate"
	NATSWithoutTLS            Refusal = "NATS without TLS"
	NATSUser                  Refusal = "NATS user"
	NATSAccount               Refusal = "NATS account"
)

// sqlRefusals are the SQLSTATEs with which PostgreSQL refuses a program. A server that is starting (57P03) or has too many
// connections (53300) refuses it only for now.
var sqlRefusals = map[string]Refusal{
	"28P01": DatabasePassword,
	"28000": DatabaseUser,
	"3D000": DatabaseMissing,
	"42501": DatabaseRight,
}

// RefusalOf returns why a server refuses this program, or NoRefusal for any other error.
func RefusalOf(err error) Refusal {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && sqlRefusals[server.Code] != NoRefusal {
		return sqlRefusals[server.Code]
	}
	_, database := errors.AsType[*pgconn.ConnectError](err)
	switch {
	case database && Untrusted(err):
		return DatabaseUntrusted
	case database && certificateRefused(err):
		return DatabaseClientCertificate
	case errors.Is(err, nats.ErrTLS) && Untrusted(err):
		return NATSUntrusted
	case certificateRefused(err):
		return NATSClientCertificate
	case errors.Is(err, nats.ErrSecureConnWanted):
		return NATSWithoutTLS
	case credentialsRefused(err):
		return NATSUser
	case accountRefused(err):
		return NATSAccount
	}
	return NoRefusal
}

// credentialsRefused reports whether NATS refuses a user.
func credentialsRefused(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) ||
		errors.Is(err, nats.ErrAccountAuthExpired)
}

// accountRefused reports whether the account of a NATS user does not have the streams, or does not import a subject of their account.
func accountRefused(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
}

// Untrusted reports whether the certificate of a server cannot be trusted.
func Untrusted(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return verification || authority || host || invalid
}

// certificateRefused reports whether a server refuses the certificate of this program, or requires one.
func certificateRefused(err error) bool {
	alert, ok := errors.AsType[*net.OpError](err)
	return ok && alert.Op == "remote error" && strings.Contains(alert.Err.Error(), "certificate")
}

// PermissionError is a right that the NATS user of a process lacks.
type PermissionError struct {
	User            string // "" if it is in no URL
	Role            string // the user of deploy/nats/accounts.conf that has the right
	Action, Subject string
}

func (e *PermissionError) Error() string {
	user := "the NATS user"
	if e.User != "" {
		user = fmt.Sprintf("NATS user %q", e.User)
	}
	return fmt.Sprintf("%s may not %s to %q", user, e.Action, e.Subject)
}

// violation is what a server reports about a missing right.
var violation = regexp.MustCompile(`Permissions Violation for (Publish|Subscription) to "(\S+)"`)

// lackingRight returns the right that a server reports as missing, or nil if the error is about something else. A request without
// the right receives no response, so this is the only sign of it.
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
	user := ""
	if u, err := url.Parse(nc.ConnectedUrl()); err == nil {
		user = u.User.Username()
	}
	return &PermissionError{
		User: user, Role: role,
		Action: map[string]string{"Publish": "publish", "Subscription": "subscribe"}[parts[1]], Subject: parts[2],
	}
}
