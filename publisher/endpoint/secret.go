package endpoint

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// The sizes of a signing key in bytes.
const (
	leastSecret = 16
	newSecret   = 32
)

// secretPrefix is that of a key in base64 (Standard Webhooks 1.0).
const secretPrefix = "whsec_"

// NewSecret returns a random secret, whsec_ and base64.
func NewSecret() string {
	key := make([]byte, newSecret)
	_, _ = rand.Read(key) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// ParseSecret returns the signing key of a secret: whsec_ and base64, or any other text, which is the key itself. A key must have at
// least 16 bytes.
func ParseSecret(text string) (key []byte, err error) {
	key = []byte(text)
	if encoded, ok := strings.CutPrefix(text, secretPrefix); ok {
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, fmt.Errorf("after %s, the secret must be base64: %w", secretPrefix, err)
		}
	}
	if len(key) < leastSecret {
		return nil, fmt.Errorf("a secret must have at least %d bytes", leastSecret)
	}
	return key, nil
}

// SealError means that a secret cannot be decrypted: the bucket is not from the installation of this command log.
type SealError struct{ Name string }

func (e *SealError) Error() string {
	return "the secret of webhook " + e.Name + " cannot be decrypted, because it belongs to another command log"
}

// sealer encrypts signing keys with AES-256-GCM. The name of the endpoint is authenticated with them, so that a sealed key is of no use
// under another name.
type sealer struct{ cipher.AEAD }

// newSealer derives the key from the secret of the installation. Who can read that and the bucket can decrypt: these are operators, and the
// forwarders, which sign.
func newSealer(secret string) (sealer, error) {
	if secret == "" {
		return sealer{}, errors.New("the command log has no secret for webhooks: run clientele migrate")
	}
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "clientele webhook secrets", 32)
	if err != nil {
		return sealer{}, fmt.Errorf("derive the key for the secrets of webhooks: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, fmt.Errorf("derive the key for the secrets of webhooks: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return sealer{aead}, err
}

// seal encrypts a key. The nonce is random, and part of the result.
func (s sealer) seal(name string, key []byte) []byte {
	return s.Seal(nil, nil, key, []byte(name)) //nolint:gosec // NewGCMWithRandomNonce wants no nonce
}

func (s sealer) open(name string, sealed []byte) ([]byte, error) {
	key, err := s.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, &SealError{name}
	}
	return key, nil
}
