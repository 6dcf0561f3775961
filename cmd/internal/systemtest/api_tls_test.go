package systemtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
)

func TestCertificateOfTheAPI(t *testing.T) {
	t.Parallel()
	ca, dir := testcluster.NewAuthority(t), t.TempDir()
	certificate, key := ca.Issue("api")
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--tls-cert", certificate, "--tls-key", key)
	api, natsURL := strings.Replace(serve.API(), "http:", "https:", 1), serve.NATSURL()
	file := filepath.Join(dir, "clients.ndjson")
	if err := os.WriteFile(file, []byte(testcluster.Jane), 0o600); err != nil {
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
			{cli.ExitError, "pass the certificate authorities of the API as --ca", nil},
			{cli.ExitError, "pass the certificate authorities of the API as --ca", []string{"--ca", testcluster.NewAuthority(t).File("ca.crt")}},
			{cli.ExitError, "contains no PEM certificate", []string{"--ca", file}},
			{cli.ExitError, "/none does not exist", []string{"--ca", filepath.Join(dir, "none")}},
			{cli.ExitOK, "accepted", []string{"--ca", ca.File("ca.crt")}},
		} {
			status, stdout, stderr := testcluster.RunLine(t, append(slices.Clone(command), c.flags...)...)
			if status != c.status || !strings.Contains(stdout+stderr, c.want) {
				t.Errorf("%v %v: %d, want %d and %s: %s%s", command, c.flags, status, c.status, c.want, stdout, stderr)
			}
		}
	}
	serve.Stop()
}
