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

// flushTimeout bounds the export of the last spans, so that an unavailable collector does not delay Stop.
const flushTimeout = 2 * time.Second

// StartTracing sets Traces according to OpenTelemetry's Environment Variable Specification: spans are exported to
// OTEL_EXPORTER_OTLP_ENDPOINT, or to console with OTEL_TRACES_EXPORTER=console. Without these variables, tracing is off. The
// specification's default endpoint is not used, because often no collector listens there. An error names the invalid variable.
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

// newExporter returns nil if tracing is off.
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
		const supported = "http/protobuf"
		protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), supported)
		if protocol != supported {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL must be %s; collectors accept it on port 4318", supported)
		}
		return otlptracehttp.New(ctx)
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER must be otlp, console or none, not %q", kind)
	}
}
