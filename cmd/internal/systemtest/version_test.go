package systemtest

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"

	"github.com/nats-io/nats-server/v2/server"
)

// olderServer returns the URL of a proxy through which the server says that it has another version. Each has as many bytes as the real
// one.
func olderServer(t *testing.T, url, version string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				upstream, err := net.Dial("tcp", strings.TrimPrefix(url, "nats://"))
				if err != nil {
					return
				}
				defer upstream.Close()
				go func() { _, _ = io.Copy(upstream, client) }()
				info := make([]byte, 4096)
				n, err := upstream.Read(info)
				if err != nil {
					return
				}
				_, _ = client.Write(bytes.Replace(info[:n], []byte(server.VERSION), []byte(version), 1))
				_, _ = io.Copy(client, upstream)
			}()
		}
	}()
	return "nats://" + listener.Addr().String()
}

// A server that is too old is refused at the start, by processes and by commands.
func TestAnOldNATSServer(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	old := olderServer(t, s.NATS.URL, "2.14.9")
	const want = "the NATS server has version 2.14.9, which is older than 2.15: upgrade every server of --nats-url"
	for _, args := range [][]string{{"ingress", "--listen=127.0.0.1:0"}, {"worker"}, {"migrate"}, {"rejections", "ls"}} {
		args = append(args, "--nats-url", old)
		if args[0] != "rejections" {
			args = append(args, "--database-url", s.Database)
		}
		if status, _, stderr := testcluster.RunLine(t, args...); status == cli.ExitOK || !strings.Contains(stderr, want) {
			t.Errorf("%v: %d %s", args, status, stderr)
		}
	}
	if status, _, stderr := testcluster.RunLine(t, "rejections", "ls", "--nats-url", olderServer(t, s.NATS.URL, server.VERSION)); status != cli.ExitOK {
		t.Errorf("the version of the tests: %d %s", status, stderr)
	}
}
