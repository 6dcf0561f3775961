package embedded_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

func TestStageInMemory(t *testing.T) {
	dir := t.TempDir()
	s, js := start(t, dir)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, AllowAtomicPublish: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.StageInMemory(); err != nil {
		t.Fatal(err)
	}
	const size = 3
	publish := func() error {
		var batch []*nats.Msg
		for range size {
			batch = append(batch, &nats.Msg{Subject: "s", Header: nats.Header{}})
		}
		_, err := jetstreamext.PublishMsgBatch(t.Context(), js, batch)
		return err
	}
	if err := publish(); err != nil {
		t.Fatal(err)
	}
	staging, err := os.Readlink(filepath.Join(dir, "jetstream", "$G", "streams", "S", "batches"))
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Dir(staging)
	if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o700 || filepath.Dir(private) != "/dev/shm" {
		t.Errorf("staged in %s: %v, %v", private, info, err)
	}

	// Without the memory the server refuses batches, but still accepts single messages.
	if err := os.RemoveAll(private); err != nil {
		t.Fatal(err)
	}
	if err := publish(); err == nil {
		t.Error("a batch went through that could not be staged")
	}
	if _, err := js.Publish(t.Context(), "s", nil); err != nil {
		t.Error(err)
	}
	if err := s.Health(); err != nil {
		t.Error(err)
	}
	js.Conn().Close()
	s.Stop()

	s, js = start(t, dir)
	if err := s.StageInMemory(); err != nil {
		t.Fatal(err)
	}
	if err := publish(); err != nil {
		t.Error(err)
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 2*size+1 {
		t.Errorf("%d messages, want %d", n, 2*size+1)
	}
	js.Conn().Close()
	s.Stop()
	if _, err := os.Stat(private); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", private, err)
	}
}
