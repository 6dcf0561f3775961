// Package auth tells who a caller is, from the bearer token of a request (RFC 6750): an API key, or a JSON Web Token of an
// OpenID Connect issuer.
package auth

import (
	"context"
	"errors"
	"slices"
)

// Scope is something that a caller may do.
type Scope string

// The scopes.
const (
	ScopeWrite Scope = "clients:write" // take clients in, and see what became of them
	ScopeRead  Scope = "clients:read"  // read clients and operations
)

// scopes are all that there are.
var scopes = []Scope{ScopeWrite, ScopeRead}

// Caller is who sent a request.
type Caller struct {
	// Name is the caller's own: idempotency keys of different names never meet.
	Name   string
	Scopes []Scope
}

// May says whether the caller has one of these scopes.
func (c Caller) May(oneOf ...Scope) bool {
	return slices.ContainsFunc(oneOf, func(s Scope) bool { return slices.Contains(c.Scopes, s) })
}

// Authenticator tells whose a token is. The error is ErrInvalidToken whatever is wrong with the token; any other says that
// it could not be looked at.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Caller, error)
}

// ErrInvalidToken is a token that is nobody's. It does not say why: who holds no valid token is to learn nothing.
var ErrInvalidToken = errors.New("the token is not valid")
