package process

import (
	"bytes"
	"context"
	"crypto/tls"
	"os"
	"sync/atomic"
)

// Certificate returns a configuration for TLS 1.2 or later with this certificate. It reads the files again when they change.
func (p *Process) Certificate(ctx context.Context, certFile, keyFile string) (*tls.Config, error) {
	var current atomic.Pointer[tls.Certificate]
	var cert, key []byte // of the current certificate
	err := p.Reload(ctx, "the certificate", func() (changed bool, err error) {
		newCert, err := os.ReadFile(certFile)
		if err != nil {
			return false, err
		}
		newKey, err := os.ReadFile(keyFile)
		if err != nil || current.Load() != nil && bytes.Equal(newCert, cert) && bytes.Equal(newKey, key) {
			return false, err
		}
		certificate, err := tls.X509KeyPair(newCert, newKey)
		if err != nil {
			return false, err
		}
		current.Store(&certificate)
		cert, key = newCert, newKey
		return true, nil
	})
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil },
	}, err
}
