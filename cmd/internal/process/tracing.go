package process

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// flushTimeout is how long Stop lets the last spans take. Where nobody takes them, that is no reason to stop late.
const flushTimeout = 2 * time.Second

// StartTracing has Traces export spans as the environment variables of OpenTelemetry say (its specification, "Environment
// Variable Specification"): to OTEL_EXPORTER_OTLP_ENDPOINT, or, with OTEL_TRACES_EXPORTER=console, to console. Without either
// there are none, other than the specification has it: nobody waits for spans at its default address. The error names the
// variable that is wrong.
func (p *Process) StartTracing(ctx context.Context, version string, console io.Writer) error {
	exporter, err := newExporter(ctx, console)
	if exporter == nil || err != nil {
		return err
	}
	res, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("clientele"), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		return fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { p.Log.Warn().Err(err).Msg("cannot export traces") }))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	p.Traces = provider
	p.OnStop("traces", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		return provider.Shutdown(ctx)
	})
	return nil
}

// newExporter returns nil where nobody asks for traces.
func newExporter(ctx context.Context, console io.Writer) (sdktrace.SpanExporter, error) {
	kind := os.Getenv("OTEL_TRACES_EXPORTER")
	if kind == "" && cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")) == "" ||
		os.Getenv("OTEL_SDK_DISABLED") == "true" {
		kind = "none"
	}
	switch kind {
	case "none":
		return nil, nil //nolint:nilnil // as documented
	case "console":
		return stdouttrace.New(stdouttrace.WithWriter(console))
	case "", "otlp":
		const spoken = "http/protobuf"
		asked := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), spoken)
		if asked != spoken {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL must be %s, for which collectors listen on port 4318", spoken)
		}
		return otlptracehttp.New(ctx)
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER must be otlp, console or none, and is %q", kind)
	}
}
