package embedded_test

import (
	"strings"
	"testing"

	"clientele/cmd/internal/embedded"

	"github.com/rs/zerolog"
)

func TestEveryWriteIsSynced(t *testing.T) {
	s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if cfg := s.JetStreamConfig(); cfg == nil || !cfg.SyncAlways {
		t.Errorf("JetStream is configured as %+v", cfg)
	}
	if !strings.HasPrefix(s.ClientURL(), "nats://127.0.0.1:") {
		t.Errorf("it listens at %s", s.ClientURL())
	}
}

// An empty directory would be the system's temporary one, and the next restart of the machine the end of the log.
func TestNoDirectory(t *testing.T) {
	if _, err := embedded.StartNATS(embedded.NATSConfig{Listen: "127.0.0.1:0"}); err == nil {
		t.Error("started without a directory")
	}
}
