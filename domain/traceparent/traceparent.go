// Package traceparent reads and writes the traceparent of a message or a request (W3C Trace Context, section 3.2). It is
// separate from package domain, which does not depend on net/http.
package traceparent

import (
	"context"

	"clientele/domain"

	"go.opentelemetry.io/otel/propagation"
)

// Inject returns the traceparent of the span in the context, or "" if there is none. It omits the tracestate, which
// may contain personal data.
func Inject(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[domain.HeaderTraceparent]
}

// Extract returns the context with the span that the traceparent names, or the context unchanged if it names none.
func Extract(ctx context.Context, parent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{domain.HeaderTraceparent: parent})
}
