// Package telemetry makes the logger, tracer and meter of one service.
//
// Logs are slog, JSON or text, each line with the trace and span it belongs to. Secrets do not get into them: attributes
// whose key names a secret (password, pin, token, authorization, cookie, …) are replaced at any depth, fields that the
// contract marks secret are replaced in logged proto messages, and bearer tokens are cut out of texts.
//
// Traces and metrics go to an OTLP collector over gRPC when one is configured; metrics also wait for a Prometheus that asks
// for them, see WithScrape. Otherwise they go nowhere. Trace context travels as W3C traceparent and baggage.
//
// Nothing is registered globally: several services in one process each have their own, and pass it on.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Config says what is logged how, and where traces and metrics go.
type Config struct {
	LogFormat    string   `config:"log_format" default:"json" oneof:"json text" doc:"How log lines are written."`
	LogLevel     string   `config:"log_level" default:"info" oneof:"debug info warn error" doc:"The least important lines that are written."`
	OTLPEndpoint *url.URL `config:"otlp_endpoint" doc:"The OTLP gRPC collector for traces and metrics, http:// without or https:// with TLS. Unset: none; OTEL_EXPORTER_OTLP_ENDPOINT counts too."`
	TraceRatio   float64  `config:"trace_ratio" default:"1" min:"0" max:"1" doc:"The share of traces recorded when the caller has not decided."`
}

// Telemetry is what a service observes itself with.
type Telemetry struct {
	Logger     *slog.Logger
	Tracers    trace.TracerProvider
	Meters     metric.MeterProvider
	Propagator propagation.TextMapPropagator
	// Metrics answers with all metrics in Prometheus' text format; nil without WithScrape.
	Metrics  http.Handler
	shutdown []func(context.Context) error
}

// Start makes the telemetry of the named service; log lines go to w. It does not wait for the collector: one that is
// away loses traces, not service.
func Start(ctx context.Context, cfg Config, service string, build Build, w io.Writer, opts ...Option) (*Telemetry, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	t := &Telemetry{
		Logger:     newLogger(cfg, w).With("service", service),
		Tracers:    tracenoop.NewTracerProvider(),
		Meters:     metricnoop.NewMeterProvider(),
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}
	about := resource.NewSchemaless(append(attributes(o.resources),
		attribute.String("service.namespace", "concord"),
		attribute.String("service.name", service),
		attribute.String("service.version", build.Version),
	)...)
	if cfg.OTLPEndpoint != nil {
		if err := t.exportTraces(ctx, cfg, about); err != nil {
			return nil, err
		}
	}
	if err := t.exportMetrics(ctx, cfg, about, o.scrape); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	return t, t.observeBuild(build)
}

func (t *Telemetry) exportTraces(ctx context.Context, cfg Config, about *resource.Resource) error {
	options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(cfg.OTLPEndpoint.Host)}
	if cfg.OTLPEndpoint.Scheme == "http" {
		options = append(options, otlptracegrpc.WithInsecure())
	}
	exporter, err := otlptracegrpc.New(ctx, options...)
	if err != nil {
		return fmt.Errorf("telemetry: traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(about),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.TraceRatio))),
	)
	t.Tracers = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}

// exportMetrics makes the meters, unless nobody wants to know.
func (t *Telemetry) exportMetrics(ctx context.Context, cfg Config, about *resource.Resource, scrape bool) error {
	options := []sdkmetric.Option{sdkmetric.WithResource(about), sdkmetric.WithCardinalityLimit(maxSeries)}
	if cfg.OTLPEndpoint != nil {
		reader, err := pushing(ctx, cfg)
		if err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	if scrape {
		reader, err := t.exportScrape()
		if err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	if cfg.OTLPEndpoint == nil && !scrape {
		return nil
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.Meters = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}

// pushing returns the reader that sends metrics to the collector.
func pushing(ctx context.Context, cfg Config) (sdkmetric.Reader, error) {
	options := []otlpmetricgrpc.Option{otlpmetricgrpc.WithEndpoint(cfg.OTLPEndpoint.Host)}
	if cfg.OTLPEndpoint.Scheme == "http" {
		options = append(options, otlpmetricgrpc.WithInsecure())
	}
	exporter, err := otlpmetricgrpc.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("telemetry: metrics: %w", err)
	}
	return sdkmetric.NewPeriodicReader(exporter), nil
}

// Shutdown sends what is still held back, within the time ctx leaves. Afterwards nothing is recorded.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, stop := range t.shutdown {
		errs = append(errs, stop(ctx))
	}
	return errors.Join(errs...)
}
