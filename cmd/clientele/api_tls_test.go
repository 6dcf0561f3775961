package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCertificateOfTheAPI(t *testing.T) {
	t.Parallel()
	ca, dir := newAuthority(t), t.TempDir()
	certificate, key := ca.issue("api")
	serve := clientele(t, "serve", "--data-dir", t.TempDir(), "--tls-cert", certificate, "--tls-key", key)
	api, natsURL := strings.Replace(serve.api(), "http:", "https:", 1), serve.says(natsIsAt)
	file := filepath.Join(dir, "clients.ndjson")
	if err := os.WriteFile(file, []byte(jane), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"import", file, "--url", api},
		{"bench", "--count=10", "--url", api, "--nats-url", natsURL},
	} {
		for _, c := range []struct {
			status int
			want   string
			flags  []string
		}{
			{exitError, "name the certificate authorities of the API with --ca", nil},
			{exitError, "name the certificate authorities of the API with --ca", []string{"--ca", newAuthority(t).file("ca.crt")}},
			{exitError, "has no certificate in PEM", []string{"--ca", file}},
			{exitError, "--ca: open ", []string{"--ca", filepath.Join(dir, "none")}},
			{exitOK, "accepted", []string{"--ca", ca.file("ca.crt")}},
		} {
			status, stdout, stderr := runLine(t, append(slices.Clone(command), c.flags...)...)
			if status != c.status || !strings.Contains(stdout+stderr, c.want) {
				t.Errorf("%v %v: %d, want %d and %s: %s%s", command, c.flags, status, c.status, c.want, stdout, stderr)
			}
		}
	}
	serve.stop()
}
