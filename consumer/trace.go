package consumer

import (
	"context"

	"clientele/domain"
	"clientele/domain/traceparent"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// spans are those of a batch: one for all of it, with what is done for all at once below it, and one for each command, in the
// trace of its request. They are linked both ways, the batch to as many commands as OTEL_SPAN_LINK_COUNT_LIMIT lets it.
type spans struct {
	batch    trace.Span
	commands []trace.Span
}

// begin begins the spans of a batch, for end to end. The context is for what is done for all of it.
//
//nolint:spancheck // as said
func (w *Worker) begin(ctx context.Context, msgs []jetstream.Msg) (context.Context, spans) {
	s := spans{commands: make([]trace.Span, len(msgs))}
	parents := make([]context.Context, len(msgs))
	var links []trace.Link
	for i, msg := range msgs {
		parents[i] = ctx //nolint:fatcontext // one for each
		if parent := msg.Headers().Get(domain.HeaderTraceparent); parent != "" {
			parents[i] = traceparent.Extract(ctx, parent)
			links = append(links, trace.LinkFromContext(parents[i]))
		}
	}
	attributes := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		semconv.MessagingSystemKey.String("nats"),
		semconv.MessagingOperationTypeProcess,
		semconv.MessagingDestinationName(domain.StreamCommands),
	)}
	ctx, s.batch = w.tracer.Start(ctx, "process batch of client.create", append(attributes,
		trace.WithLinks(links...), trace.WithAttributes(semconv.MessagingBatchMessageCount(len(msgs))))...)
	link := trace.WithLinks(trace.LinkFromContext(ctx))
	for i := range msgs {
		if w.cfg.Traces == nil { // the event is in the trace that the command is in
			s.commands[i] = trace.SpanFromContext(parents[i])
			continue
		}
		_, s.commands[i] = w.tracer.Start(parents[i], "process client.create", append(attributes, link)...)
	}
	return ctx, s
}

// end ends the spans. Those of commands that are rejected say why.
func (s spans) end(verdicts []verdict, err error) {
	for i, span := range s.commands {
		switch {
		case err != nil:
			span.SetStatus(codes.Error, "stopped")
		case verdicts[i].reason != "":
			span.SetStatus(codes.Error, string(verdicts[i].reason))
		}
		span.End()
	}
	if err != nil {
		s.batch.SetStatus(codes.Error, "stopped")
	}
	s.batch.End()
}

// traceparent returns the traceparent for the event of command i, or "".
func (s spans) traceparent(ctx context.Context, i int) string {
	return traceparent.Inject(trace.ContextWithSpan(ctx, s.commands[i]))
}

// traced runs f in a span below the one of the context.
func (w *Worker) traced(ctx context.Context, name string, f func() error) error {
	_, span := w.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	err := f()
	if err != nil {
		span.SetStatus(codes.Error, string(domain.CodeOf(err)))
	}
	return err
}
