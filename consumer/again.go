package consumer

import (
	"context"
	"slices"
	"time"

	"clientele/consumer/direct"
	"clientele/domain"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// againDelay is the time after which the server delivers a request again if its command could not be read.
const againDelay = time.Second

// again is a completed command that is processed again, because its outcome was lost. It is acknowledged by the request for it.
type again struct {
	jetstream.Msg // the request

	command *jetstream.RawStreamMsg
}

func (a again) Subject() string      { return a.command.Subject }
func (a again) Headers() nats.Header { return a.command.Header }
func (a again) Data() []byte         { return a.command.Data }

// Metadata returns the metadata of the request with the sequence of the command.
func (a again) Metadata() (*jetstream.MsgMetadata, error) {
	meta, err := a.Msg.Metadata()
	if err != nil {
		return nil, err
	}
	meta.Sequence.Stream = a.command.Sequence
	return meta, nil
}

// repeater reads the commands that ingresses ask for.
type repeater struct {
	js      jetstream.JetStream
	restore func(ctx context.Context, since time.Time) error // or nil
	timeout time.Duration
	log     zerolog.Logger
	total   prometheus.Counter
}

// commands returns the commands that these syncs ask for, except those of a batch. Most syncs ask for none. A command that has left the
// log meanwhile is erased, or no longer kept. If the event of a lost client exists, commands restores the client from it: a client that
// the command creates again has another event.
func (r repeater) commands(syncs, batch []jetstream.Msg) (repeated []jetstream.Msg) {
	requests := map[string]jetstream.Msg{} // by subject
	for _, sync := range syncs {
		id, err := domain.ParseID(string(sync.Data()))
		subject := domain.SubjectCreate + id.String()
		if err != nil || requests[subject] != nil || slices.ContainsFunc(batch, func(msg jetstream.Msg) bool { return msg.Subject() == subject }) {
			_ = sync.Ack() // else the server delivers it again
			continue
		}
		requests[subject] = sync
	}
	for _, command := range r.read(requests) {
		if request := requests[command.Subject]; request != nil {
			repeated = append(repeated, again{request, command})
			delete(requests, command.Subject)
		}
	}
	for _, request := range requests {
		_ = request.Ack()
	}
	if len(repeated) > 0 {
		r.total.Add(float64(len(repeated)))
		r.log.Warn().Int("commands", len(repeated)).Msg("the outcomes of completed commands are lost; processing the commands again")
	}
	return repeated
}

// read returns the commands with these subjects. If it cannot read them, it returns the requests to the log.
func (r repeater) read(requests map[string]jetstream.Msg) []*jetstream.RawStreamMsg {
	if len(requests) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	subjects := make([]string, 0, len(requests))
	for subject := range requests {
		subjects = append(subjects, subject)
	}
	commands, err := direct.Last(ctx, r.js, domain.StreamCommands, subjects)
	if err == nil && len(commands) > 0 && r.restore != nil {
		oldest := slices.MinFunc(commands, func(a, b *jetstream.RawStreamMsg) int { return a.Time.Compare(b.Time) })
		err = r.restore(ctx, oldest.Time)
	}
	if err != nil {
		r.log.Warn().Err(err).Int("commands", len(requests)).Msg("cannot read completed commands to process them again; trying again")
		for subject, request := range requests {
			_ = request.NakWithDelay(againDelay)
			delete(requests, subject)
		}
	}
	return commands
}
