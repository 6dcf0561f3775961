package process

import (
	"context"
	"crypto/tls"
	"sync/atomic"
)

// Certificate returns a configuration for TLS 1.2 or later with this certificate. It reads the files again when they change.
func (p *Process) Certificate(ctx context.Context, certFile, keyFile string) (*tls.Config, error) {
	var current atomic.Pointer[tls.Certificate]
	err := p.Reload(ctx, "the certificate", []string{certFile, keyFile}, func() error {
		certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err == nil {
			current.Store(&certificate)
		}
		return err
	})
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil },
	}, err
}
