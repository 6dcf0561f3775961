// Package refusal finds out why NATS or PostgreSQL refuses this program, from the errors of their client libraries.
package refusal

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Reason is why a server refuses this program, or this program a server, until an operator acts.
type Reason string

// The reasons.
const (
	None                      Reason = ""
	DatabasePassword          Reason = "database password"
	DatabaseUser              Reason = "database user"
	DatabaseMissing           Reason = "database missing"
	DatabaseRight             Reason = "database right"
	DatabaseUntrusted         Reason = "database certificate"
	DatabaseClientCertificate Reason = "database client certificate"
	NATSUntrusted             Reason = "NATS certificate"
	NATSClientCertificate     Reason = "NATS client certificate"
	NATSWithoutTLS            Reason = "NATS without TLS"
	NATSUser                  Reason = "NATS user"
	NATSAccount               Reason = "NATS account"
	NATSVersion               Reason = "NATS version"
)

// sqlReasons are the SQLSTATEs with which PostgreSQL refuses a program. A server that is starting (57P03) or has too many
// connections (53300) refuses it only for now.
var sqlReasons = map[string]Reason{
	"28P01": DatabasePassword,
	"28000": DatabaseUser,
	"3D000": DatabaseMissing,
	"42501": DatabaseRight,
}

// Of returns why a server refuses this program, or None for any other error.
func Of(err error) Reason {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok && sqlReasons[server.Code] != None {
		return sqlReasons[server.Code]
	}
	_, database := errors.AsType[*pgconn.ConnectError](err)
	_, old := errors.AsType[*OldServerError](err)
	switch {
	case old:
		return NATSVersion
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
	return None
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
