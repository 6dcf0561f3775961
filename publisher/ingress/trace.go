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

// traced records each request as a span of the trace in its traceparent (W3C Trace Context). The span has the route, the method
// and the status. Unlike the span of OpenTelemetry's own handler, it has no path, address or user agent, because callers may put
// anything there, including people's names. tracestate is dropped for the same reason. Without a tracer, the trace is passed
// on unchanged.
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
		response := httpsnoop.CaptureMetrics(next, w, r.WithContext(ctx))
		span.SetAttributes(semconv.HTTPResponseStatusCode(response.Code))
		if response.Code >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	})
}
