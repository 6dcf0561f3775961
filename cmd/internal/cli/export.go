package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"clientele/cmd/internal/backup"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/subscription"
	"clientele/store"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// exportCmd fulfils requests for access and portability (UK GDPR, articles 15 and 20).
type exportCmd struct {
	ID     string `arg:"" name:"id" help:"ID of the client."`
	Output string `type:"path" predictor:"file" placeholder:"FILE" help:"Write to this new file, readable only by you, instead of standard output."`

	systemFlags `embed:""`
}

// Help is printed by --help.
func (*exportCmd) Help() string {
	return `Examples:

  clientele export ID --output client.json
  clientele export ID --nats-url nats://… --database-url postgres://… | jq .client

The document has personal data: the stored record, the command, the rejection, every event on the stream, the tombstone, and the legal
hold. It names the copies that Clientele does not reach: those of subscribers and backups. The command reads the headers of all events.
The exit status is 1 if nothing about the id is found.`
}

// Run exports the client.
func (c *exportCmd) Run(e env) error {
	id, err := domain.ParseID(c.ID)
	if err != nil {
		return &usageError{"the id is not a UUID"}
	}
	clients, streams, closeAll, err := c.open(e)
	if err != nil {
		return err
	}
	defer closeAll()
	read := domain.AuditRecord{Action: domain.AuditExport, Result: domain.AuditSucceeded, ClientID: id}
	if err := c.auditFlags.record(e.ctx, streams.JetStream().Conn(), read); err != nil {
		return err
	}
	document, err := exportOf(e, id, clients, streams)
	if err != nil {
		return err
	}
	text, err := json.Marshal(document, json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	if c.Output != "" {
		return writeNew(c.Output, func(w io.Writer) error {
			_, err := w.Write(append(text, '\n'))
			return err
		})
	}
	_, err = fmt.Fprintln(e.stdout, displayText(string(text)))
	return err
}

// writeNew writes a file that must not exist, not even as a symbolic link. After an error the file does not exist.
func writeNew(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	out := bufio.NewWriter(file)
	if err := write(out); err != nil {
		return errors.Join(err, file.Close(), os.Remove(path))
	}
	if err := errors.Join(out.Flush(), file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("--output: %w", err), os.Remove(path))
	}
	return nil
}

// exported is everything about a client.
type exported struct {
	ID         uuid.UUID      `json:"id"`
	ExportedAt time.Time      `json:"exportedAt"`
	Client     jsontext.Value `json:"client"` // as in a backup; null if there is none
	Command    *exportedMsg   `json:"command"`
	Rejection  *exportedMsg   `json:"rejection"`
	Events     []exportedMsg  `json:"events"`
	Erasure    *erasureFacts  `json:"erasure"`
	LegalHold  *holdFacts     `json:"legalHold"`
	Copies     []string       `json:"copies"`
}

// exportedMsg is a message of a stream. A body that is not JSON is in base64.
type exportedMsg struct {
	Subject    string         `json:"subject"`
	Sequence   uint64         `json:"sequence"`
	StoredAt   time.Time      `json:"storedAt"`
	Headers    nats.Header    `json:"headers"`
	Body       jsontext.Value `json:"body,omitzero"`
	BodyBase64 []byte         `json:"bodyBase64,omitzero"`
	// Request is the body of the rejected command, which is in base64 in a rejection.
	Request jsontext.Value `json:"request,omitzero"`
}

// exportOf collects everything about a client, or returns an error if there is nothing.
func exportOf(e env, id uuid.UUID, clients store.Store, streams *publisher.Admin) (*exported, error) {
	x := &exported{ID: id, ExportedAt: time.Now().UTC(), Events: []exportedMsg{}}
	marks, err := clients.Marks(e.ctx, id)
	if err != nil {
		return nil, err
	}
	x.LegalHold = activeHold(marks)
	for _, tombstone := range marks.Erasures {
		x.Erasure = &erasureFacts{tombstone.ErasedAt, tombstone.Reason, tombstone.Operator}
	}
	client, err := clients.Get(e.ctx, id)
	if err == nil {
		x.Client, err = backup.Row(client)
	}
	if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
		return nil, err
	}
	msgs, err := streams.Messages(e.ctx, id)
	if err != nil {
		return nil, err
	}
	if x.Client == nil && len(msgs) == 0 && x.Erasure == nil && x.LegalHold == nil {
		return nil, fmt.Errorf("nothing about %s was found", id)
	}
	x.add(msgs)
	x.Copies, err = copies(e, streams)
	return x, err
}

// add puts each message in its place.
func (x *exported) add(msgs []*jetstream.RawStreamMsg) {
	for _, raw := range msgs {
		msg := exportedMsg{Subject: raw.Subject, Sequence: raw.Sequence, StoredAt: raw.Time, Headers: raw.Header}
		if body := jsontext.Value(raw.Data); body.IsValid() {
			msg.Body = body
		} else {
			msg.BodyBase64 = raw.Data
		}
		switch {
		case strings.HasPrefix(raw.Subject, domain.SubjectCreate):
			x.Command = &msg
		case strings.HasPrefix(raw.Subject, domain.SubjectRejected):
			rejection, err := domain.ParseRejection(raw.Data)
			if request := jsontext.Value(rejection.Command.Body); err == nil && request.IsValid() {
				msg.Request = request
			}
			x.Rejection = &msg
		default:
			x.Events = append(x.Events, msg)
		}
	}
}

// copies names the places of copies that Clientele does not reach.
func copies(e env, streams *publisher.Admin) ([]string, error) {
	where := []string{
		"backups and snapshots of the database and the streams",
		"subscribers that read events earlier, and programs that they passed them on to",
		"free blocks of disks, and logs of the servers: see SECURITY.md",
	}
	for s, err := range subscription.List(e.ctx, streams.JetStream()) {
		if err != nil {
			return nil, err
		}
		where = append(where, "subscriber "+display(s.Name))
	}
	return where, nil
}
