// Package auth authenticates callers by the bearer token of a request (RFC 6750), which is an API key or a JSON Web Token from an
// OpenID Connect issuer.
package auth

import (
	"context"
	"errors"
	"slices"
)

// Scope is a permission of a caller.
type Scope string

// The scopes.
const (
	ScopeWrite Scope = "clients:write" // create clients and read one's own operations
	ScopeRead  Scope = "clients:read"  // read all clients and operations

	ScopeOperator     Scope = "operator"      // look at the console, act, and read personal data there
	ScopeOperatorRead Scope = "operator:read" // look at the console, without personal data
)

// scopes are all scopes.
var scopes = []Scope{ScopeWrite, ScopeRead, ScopeOperator, ScopeOperatorRead}

// Caller is the sender of a request.
type Caller struct {
	// Name identifies the caller. Idempotency keys of different names are independent.
	Name   string
	Scopes []Scope
	// KeyID is the id of the caller's API key, see Key, or "" for a caller without one.
	KeyID string
}

// May reports whether the caller has one of these scopes.
func (c Caller) May(oneOf ...Scope) bool {
	return slices.ContainsFunc(oneOf, func(s Scope) bool { return slices.Contains(c.Scopes, s) })
}

// Authenticator returns the caller to which a token belongs. The error is ErrInvalidToken if the token is not valid. Any other
// error means that the token could not be checked.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Caller, error)
}

// ErrInvalidToken means that a token belongs to no caller. It gives no reason, so that an attacker learns nothing.
var ErrInvalidToken = errors.New("the token is not valid")
