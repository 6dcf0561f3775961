package subscription

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher/reader"
	"clientele/publisher/streams"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// Undelivered is an event that a subscriber has not accepted, and that is no longer sent to it. It refers to the event, which stays on
// its stream, and has no data of the client but its id.
type Undelivered struct {
	Name     string `json:"-"` // of the subscriber
	Sequence uint64 `json:"-"` // of the event
	ClientID string `json:"clientId"`
	Attempts uint64 `json:"attempts"`
	// Reason is the last error, without data of the client.
	Reason string `json:"reason"`
	// Time is when the event was given up.
	Time time.Time `json:"time"`
}

// unreadable is the reason of a record that no forwarder wrote.
const unreadable = "unreadable"

func (u Undelivered) subject() string {
	return domain.SubjectUndelivered + u.Name + "." + strconv.FormatUint(u.Sequence, 10)
}

// Record puts an event that a subscriber has not accepted on disk, in place of an earlier record of the same event.
func Record(ctx context.Context, js jetstream.JetStream, u Undelivered) error {
	body, err := json.Marshal(u)
	if err == nil {
		_, err = js.Publish(ctx, u.subject(), body)
	}
	if err != nil {
		return fmt.Errorf("record an event that was not delivered: %w", err)
	}
	return nil
}

// ListUndelivered returns the events that a subscriber, or with the name "" any, has not accepted. It stops after an error.
func ListUndelivered(ctx context.Context, js jetstream.JetStream, name string) iter.Seq2[Undelivered, error] {
	filter := domain.SubjectUndelivered + "*.*"
	if name != "" {
		filter = domain.SubjectUndelivered + name + ".*"
	}
	return func(yield func(Undelivered, error) bool) {
		records, err := reader.Open(ctx, js, reader.Config{
			Stream: domain.StreamSubscriptions, Subjects: []string{filter}, UpToNow: true,
		})
		if err != nil {
			yield(Undelivered{}, err)
			return
		}
		defer records.Close()
		for {
			msg, err := records.Next(ctx)
			if errors.Is(err, io.EOF) || err == nil && !yield(parseUndelivered(msg), nil) {
				return
			}
			if err != nil {
				yield(Undelivered{}, err)
				return
			}
		}
	}
}

func parseUndelivered(msg jetstream.Msg) (u Undelivered) {
	if json.Unmarshal(msg.Data(), &u) != nil {
		u = Undelivered{Reason: unreadable}
	}
	name, sequence, _ := strings.Cut(strings.TrimPrefix(msg.Subject(), domain.SubjectUndelivered), ".")
	u.Name = name
	u.Sequence, _ = strconv.ParseUint(sequence, 10, 64) // 0 is the sequence of no event
	return u
}

// Forget removes the record of an event that a subscriber has not accepted, if there is one.
func (u Undelivered) Forget(ctx context.Context, js jetstream.JetStream) error {
	return forget(ctx, js, u.subject())
}

// forget removes the records of these subjects.
func forget(ctx context.Context, js jetstream.JetStream, subjects ...string) error {
	stream, err := js.Stream(ctx, domain.StreamSubscriptions)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return &streams.MissingError{Stream: domain.StreamSubscriptions}
	}
	for i := 0; err == nil && i < len(subjects); i++ {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subjects[i]))
	}
	if err != nil {
		return fmt.Errorf("remove records of stream %s: %w", domain.StreamSubscriptions, err)
	}
	return nil
}
