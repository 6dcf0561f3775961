package audit

import (
	"cmp"
	"context"
	"net/url"
	"os"

	"clientele/domain"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
)

// Operator is a person who acts, and where that is recorded besides the stream.
type Operator struct {
	// File is the audit log, or "".
	File string
	// Name is the name of the person.
	Name string
}

// Open returns a recorder of an operator's actions through a connection.
func (o Operator) Open(ctx context.Context, nc *nats.Conn) (*Recorder, error) {
	return Open(ctx, Config{Conn: nc, File: File(o.File), Actor: o.Actor(nc)})
}

// Actor returns the operator. The connection, unless it is nil, has the operator's credential.
func (o Operator) Actor(nc *nats.Conn) domain.AuditActor {
	actor := domain.AuditActor{Kind: domain.AuditOperator, Name: o.Name, Host: HostName()}
	if nc != nil {
		actor.Credential = userOf(nc)
	}
	return actor
}

// userOf returns the name of the NATS user, or "" if it is unknown.
func userOf(nc *nats.Conn) string {
	name := nc.Opts.User
	if u, err := url.Parse(nc.ConnectedUrl()); err == nil {
		name = cmp.Or(u.User.Username(), name)
	}
	if name == "" && nc.Opts.UserInfo != nil {
		name, _ = nc.Opts.UserInfo()
	}
	if name == "" && nc.Opts.UserJWT != nil {
		name = userOfJWT(nc)
	}
	return name
}

// userOfJWT returns the name, or else the public key, of the user in a credentials file.
func userOfJWT(nc *nats.Conn) string {
	token, err := nc.Opts.UserJWT()
	if err != nil {
		return ""
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return ""
	}
	return cmp.Or(claims.Name, claims.Subject)
}

// HostName returns the name of this machine, or "" if it is unknown.
func HostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
