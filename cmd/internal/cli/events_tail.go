package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"clientele/cmd/internal/rejected"
	"clientele/domain"
	"clientele/publisher/reader"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type eventsTailCmd struct {
	Since    timeFlag `placeholder:"TIME" help:"Start with events published at this time: a time (RFC 3339) or a duration before now, such as 24h. By default, start with the next event."`
	ID       string   `name:"id" placeholder:"ID" help:"Only events of this client."`
	JSON     bool     `name:"json" help:"Print whole events, with the clients, as CloudEvents in JSON, one per line."`
	NoFollow bool     `help:"Exit after the last event that exists now."`

	operatorFlags `embed:"" group:"nats"`
	auditFlags    `embed:""`
}

// Help is printed by --help.
func (*eventsTailCmd) Help() string {
	return `Examples:

  clientele events tail
  clientele events tail --since 24h --json | jq .data.emailAddress
  clientele events tail --since 24h --id ID --no-follow`
}

// Run prints events until it is stopped.
func (c *eventsTailCmd) Run(e env) error {
	nc, err := c.dial(e)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if c.JSON {
		read := domain.AuditRecord{Action: domain.AuditEventsRead, Result: domain.AuditStarted, ClientID: rejected.AuditedID(c.ID)}
		if err := c.record(e.ctx, nc, read); err != nil {
			return err
		}
	}
	events, err := reader.Open(e.ctx, js, reader.Config{
		Since: c.Since.past(), Next: !c.Since.isSet(), UpToNow: c.NoFollow, HeadersOnly: !c.JSON,
	})
	if err != nil {
		return err
	}
	defer events.Close()
	if !c.NoFollow && isTerminal(e.stderr) {
		fmt.Fprintln(e.stderr, "waiting for events; press Ctrl+C to stop")
	}
	ctx, cancel := untilClosed(e.ctx, nc)
	defer cancel()
	for {
		msg, err := events.Next(ctx)
		switch {
		case e.ctx.Err() != nil, errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return errors.New("the connection to NATS was lost: run this again")
		case err != nil:
			return err
		}
		if c.ID == "" || strings.EqualFold(c.ID, msg.Headers().Get("ce-subject")) {
			if err := c.print(e.stdout, msg); err != nil {
				return err
			}
		}
	}
}

// untilClosed returns a context that also ends when the connection is closed.
func untilClosed(ctx context.Context, nc *nats.Conn) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	nc.SetClosedHandler(func(*nats.Conn) { cancel() })
	return ctx, cancel
}

// cloudEvent is an event in the JSON format of CloudEvents.
type cloudEvent struct {
	SpecVersion     string         `json:"specversion"`
	ID              string         `json:"id"`
	Source          string         `json:"source"`
	Type            string         `json:"type"`
	Subject         string         `json:"subject"`
	Time            string         `json:"time"`
	DataContentType string         `json:"datacontenttype"`
	DataSchema      string         `json:"dataschema,omitzero"`
	Traceparent     string         `json:"traceparent,omitzero"` // of the distributed tracing extension
	Data            jsontext.Value `json:"data,omitzero"`        // absent without a body
}

func (c *eventsTailCmd) print(w io.Writer, msg jetstream.Msg) error {
	get := msg.Headers().Get
	if !c.JSON {
		_, err := fmt.Fprintf(w, "%s  %-14s  %s\n", display(get("ce-time")), display(get("ce-type")), display(get("ce-subject")))
		return err
	}
	var data jsontext.Value
	if len(msg.Data()) > 0 {
		data = msg.Data()
	}
	line, err := json.Marshal(cloudEvent{
		get("ce-specversion"), get("ce-id"), get("ce-source"), get("ce-type"), get("ce-subject"), get("ce-time"),
		get("ce-datacontenttype"), get("ce-dataschema"), get(domain.HeaderTraceparent), data,
	})
	if err != nil {
		return fmt.Errorf("event %s: %w", display(get("ce-id")), err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
