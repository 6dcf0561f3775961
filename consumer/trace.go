package consumer

import (
	"context"

	"clientele/domain"
	"clientele/domain/traceparent"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// spans are the spans of a batch: one for the batch, which is the parent of its attempts, and one for each command, in the
// trace of its request. They are linked both ways. OTEL_SPAN_LINK_COUNT_LIMIT limits the links of the batch.
type spans struct {
	batch    trace.Span
	commands []trace.Span
}

// tracing starts spans. Without a provider, tracer is a no-op.
type tracing struct {
	tracer  trace.Tracer
	enabled bool
}

func newTracing(provider trace.TracerProvider) tracing {
	if provider == nil {
		return tracing{tracer: noop.Tracer{}}
	}
	return tracing{tracer: provider.Tracer("clientele/consumer"), enabled: true}
}

// begin starts the spans of a batch; end ends them. The context has the span of the batch.
//
//nolint:spancheck // end ends them
func (t tracing) begin(ctx context.Context, msgs []jetstream.Msg) (context.Context, spans) {
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
	ctx, s.batch = t.tracer.Start(ctx, "process batch of client.create", append(attributes,
		trace.WithLinks(links...), trace.WithAttributes(semconv.MessagingBatchMessageCount(len(msgs))))...)
	link := trace.WithLinks(trace.LinkFromContext(ctx))
	for i := range msgs {
		if !t.enabled { // the event joins the trace of the command
			s.commands[i] = trace.SpanFromContext(parents[i])
			continue
		}
		_, s.commands[i] = t.tracer.Start(parents[i], "process client.create", append(attributes, link)...)
	}
	return ctx, s
}

// end ends the spans. The span of a rejected command has the reason.
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

// traced runs f in a span whose parent is the span of the context.
func traced(ctx context.Context, tracer trace.Tracer, name string, f func() error) error {
	_, span := tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	err := f()
	if err != nil {
		span.SetStatus(codes.Error, string(domain.CodeOf(err)))
	}
	return err
}
