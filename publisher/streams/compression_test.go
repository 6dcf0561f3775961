package streams_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// An audit trail that an earlier version created is compressed after Migrate and a restart of the server, and stays readable.
func TestTheAuditTrailIsCompressed(t *testing.T) {
	t.Parallel()
	const records = 20_000 // more than a block of 8 MiB
	server := publishertest.Start(t)
	js, err := jetstream.New(server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	trail := func() jetstream.Stream {
		t.Helper()
		stream, err := js.Stream(t.Context(), domain.StreamAudit)
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	restart := func() {
		nc := js.Conn()
		before := nc.Stats().Reconnects // the loss of the old connection may not be noticed yet
		server.Down()
		server.Up(t)
		publishertest.Eventually(t, "a connection", func() bool { return nc.Stats().Reconnects > before && nc.IsConnected() })
	}
	earlier := trail().CachedInfo().Config
	earlier.Compression = jetstream.NoCompression
	if _, err := js.UpdateStream(t.Context(), earlier); err != nil {
		t.Fatal(err)
	}
	restart()
	add := func(n int) {
		t.Helper()
		to, err := publisher.OpenPublisher(t.Context(), js.Conn(), domain.StreamAudit)
		if err == nil {
			err = to.Publish(n, func(int) *nats.Msg { return record(t) })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add(records)
	before := blocks(t, server.Dir())
	if state := trail().CachedInfo().State; uint64(before) < state.Bytes*9/10 {
		t.Fatalf("the blocks of an earlier version have %d bytes for %d", before, state.Bytes)
	}
	if err := streams.Migrate(t.Context(), js, publishertest.Streams); err != nil {
		t.Fatal(err)
	}
	restart()
	add(records)
	publishertest.Eventually(t, "the new blocks are compressed", func() bool {
		return blocks(t, server.Dir())-before < before*3/4
	})
	for _, sequence := range []uint64{1, records, records + 1, 2 * records} {
		msg, err := trail().GetMsg(t.Context(), sequence)
		if err == nil {
			_, err = domain.ParseAuditRecord(msg.Data)
		}
		if err != nil {
			t.Errorf("record %d: %v", sequence, err)
		}
	}
}

// record returns a record of a read.
func record(t *testing.T) *nats.Msg {
	r := domain.AuditRecord{
		ID: publishertest.NewID(t), Time: time.Now(), Action: domain.AuditClientRead, Result: domain.AuditSucceeded,
		Actor: domain.AuditActor{Kind: domain.AuditCaller, Name: "crm", KeyID: "k1234567"}, ClientID: publishertest.NewID(t), Address: "10.0.0.1",
	}
	body, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return &nats.Msg{Subject: r.Subject(), Data: body, Header: nats.Header{jetstream.MsgIDHeader: {r.ID.String()}}}
}

// blocks returns the size of the files with the audit trail, in bytes.
func blocks(t *testing.T, dir string) (size int64) {
	t.Helper()
	files, err := fs.Glob(os.DirFS(dir), "jetstream/*/streams/"+domain.StreamAudit+"/msgs/*.blk")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if info, err := os.Stat(filepath.Join(dir, file)); err == nil { // it may be replaced at this moment
			size += info.Size()
		}
	}
	return size
}
