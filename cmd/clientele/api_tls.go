package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// apiTLSFlags say how to be sure of the API.
type apiTLSFlags struct {
	CA string `name:"ca" type:"path" predictor:"file" placeholder:"FILE" help:"Certificate authorities of the API, PEM; those of the system unless given."`
}

// config returns how to connect to the API.
func (f apiTLSFlags) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("--ca: " + f.CA + " has no certificate in PEM")
	}
	return config, nil
}
