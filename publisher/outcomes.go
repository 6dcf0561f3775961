package publisher

import (
	"context"
	"fmt"
	"time"

	"clientele/domain"
	"clientele/publisher/streams"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The CloudEvents attributes that all events share (CloudEvents 1.0.2).
const (
	eventSource     = "/clientele"
	eventDataSchema = "urn:clientele:client:2"
)

// OutcomePublisher publishes the outcomes of commands: events of new clients, rejections, and notices of completion.
type OutcomePublisher struct {
	events, rejections *Publisher
}

// OpenOutcomePublisher returns the publisher for the server that the connection leads to, or a *streams.MissingError.
func OpenOutcomePublisher(ctx context.Context, nc *nats.Conn) (*OutcomePublisher, error) {
	events, err := OpenPublisher(ctx, nc, domain.StreamEvents)
	if err != nil {
		return nil, err
	}
	rejections, err := OpenPublisher(ctx, nc, domain.StreamRejections)
	return &OutcomePublisher{events, rejections}, err
}

// PublishEvents puts the events on their stream in batches and returns nil when all of them are on disk. After an error some
// of them may be on disk. Publish all of them again: while the stream remembers their ids, it stores no event twice.
func (o *OutcomePublisher) PublishEvents(events []domain.Event) error {
	return o.events.Publish(len(events), func(i int) *nats.Msg { return eventMessage(events[i]) })
}

// PublishRejections puts the rejections on their stream and returns nil when all of them are on disk. After an error some of
// them may be on disk. Publish all of them again: the newest rejection of an id replaces the older one.
func (o *OutcomePublisher) PublishRejections(rejections []domain.Rejection) error {
	msgs := make([]*nats.Msg, len(rejections))
	for i, r := range rejections {
		body, err := r.JSON()
		if err != nil {
			return fmt.Errorf("encode rejection: %w", err)
		}
		msgs[i] = &nats.Msg{Subject: domain.SubjectRejected + r.ID, Data: body, Header: nats.Header{"Content-Type": {"application/json"}}}
	}
	return o.rejections.PublishSingly(len(msgs), func(i int) *nats.Msg { return msgs[i] })
}

// NotifyCompleted tells waiting callers that the outcomes of the commands with these ids are on disk. Delivery is best
// effort.
func (o *OutcomePublisher) NotifyCompleted(ids []string) {
	for _, id := range ids {
		_ = o.events.stream.JS.Conn().Publish(domain.SubjectCompleted+id, nil)
	}
}

// Ready returns nil if the server answers and has the streams, or a *streams.MissingError if one is missing.
func (o *OutcomePublisher) Ready(ctx context.Context) error {
	return streams.Exist(ctx, o.events.stream.JS, domain.StreamEvents, domain.StreamRejections)
}

// erasedMessage returns the message of client.erased. It holds nothing but the id.
func erasedMessage(client uuid.UUID, at time.Time) *nats.Msg {
	return cloudEvent(domain.SubjectErased, domain.ErasedID(client, at), client, at, []byte(`{"id":"`+client.String()+`"}`))
}

// eventMessage returns an event in the binary mode of CloudEvents: attributes in headers, the record as the body.
func eventMessage(e domain.Event) *nats.Msg {
	msg := cloudEvent(domain.SubjectCreated, e.ID, e.Client.ID, e.Client.CreatedAt, e.Body)
	msg.Header["ce-dataschema"] = []string{eventDataSchema}
	msg.Header[domain.HeaderEventAcceptedAt] = []string{e.Client.AcceptedAt.Format(time.RFC3339Nano)}
	if e.Traceparent != "" {
		msg.Header[domain.HeaderTraceparent] = []string{e.Traceparent}
	}
	return msg
}

func cloudEvent(subject string, eventID, client uuid.UUID, at time.Time, body []byte) *nats.Msg {
	id := eventID.String()
	return &nats.Msg{
		Subject: subject,
		Data:    body,
		Header: nats.Header{
			jetstream.MsgIDHeader:  {id},
			"Content-Type":         {"application/json"},
			"ce-specversion":       {"1.0"},
			"ce-id":                {id},
			"ce-type":              {subject},
			"ce-source":            {eventSource},
			"ce-subject":           {client.String()},
			domain.HeaderEventTime: {at.UTC().Format(time.RFC3339Nano)},
			"ce-datacontenttype":   {"application/json"},
		},
	}
}
