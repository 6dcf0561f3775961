package auth

import (
	"context"
	"strings"
)

// AllowAll accepts every request, without a token, as one caller with all scopes.
type AllowAll struct{}

// Authenticate returns the caller "anonymous".
func (AllowAll) Authenticate(context.Context, string) (Caller, error) {
	return Caller{Name: "anonymous", Scopes: scopes}, nil
}

// Chain checks API keys with Keys and any other token with OIDC. One of them may be nil.
type Chain struct {
	Keys *Keyring
	OIDC *OIDC
}

// Authenticate returns the caller to which the token belongs, or ErrInvalidToken.
func (c Chain) Authenticate(ctx context.Context, token string) (Caller, error) {
	switch {
	case c.Keys != nil && strings.HasPrefix(token, keyPrefix):
		return c.Keys.Authenticate(ctx, token)
	case c.OIDC != nil:
		return c.OIDC.Authenticate(ctx, token)
	default:
		return Caller{}, ErrInvalidToken
	}
}
