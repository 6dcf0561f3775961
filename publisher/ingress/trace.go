package ingress

import (
	"net/http"
	"strings"

	"clientele/domain"
	"clientele/domain/traceparent"

	"github.com/felixge/httpsnoop"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// traced has each request in a span, in the trace that its traceparent names (W3C Trace Context). The span tells the route,
// the method and the status, and no path, address or agent, as OpenTelemetry's own handler would: callers may put anything
// there, people's names too, and in tracestate, which is dropped. Without a tracer the trace goes on as it came.
func traced(tracer trace.Tracer, route string, next http.Handler) http.Handler {
	path := route[strings.IndexByte(route, '/'):]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if parent := r.Header.Get(domain.HeaderTraceparent); parent != "" {
			r = r.WithContext(traceparent.Extract(r.Context(), parent))
		}
		if tracer == nil {
			next.ServeHTTP(w, r)
			return
		}
		method := semconv.HTTPRequestMethodOther
		name := "HTTP"
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodPost:
			method, name = semconv.HTTPRequestMethodKey.String(r.Method), r.Method
		}
		ctx, span := tracer.Start(r.Context(), name+" "+path, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(method, semconv.HTTPRoute(path)))
		defer span.End()
		answer := httpsnoop.CaptureMetrics(next, w, r.WithContext(ctx))
		span.SetAttributes(semconv.HTTPResponseStatusCode(answer.Code))
		if answer.Code >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	})
}
