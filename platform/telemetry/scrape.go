package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// Option changes what Start makes.
type Option func(*options)

type options struct {
	scrape    bool
	resources string
}

// WithScrape makes Telemetry.Metrics, for a monitor that comes and asks.
func WithScrape() Option { return func(o *options) { o.scrape = true } }

// WithResource adds what OTEL_RESOURCE_ATTRIBUTES says about where the process runs: "k8s.pod.name=auth-0,k8s.node.name=n1",
// values percent-encoded, as OpenTelemetry's specification of the SDK's environment has it.
func WithResource(text string) Option { return func(o *options) { o.resources = text } }

const (
	// scrapeTime bounds one answer; monitors come every 15 to 60 seconds and wait ten.
	scrapeTime = 5 * time.Second
	// maxSeries bounds the values of one metric, whatever is put into its attributes by mistake.
	maxSeries = 1000
)

// exportScrape returns the reader behind Metrics. The process and the runtime tell of themselves in Prometheus' own names,
// which its dashboards know.
func (t *Telemetry) exportScrape() (sdkmetric.Reader, error) {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("telemetry: %w", err)
		}
	}
	reader, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("telemetry: metrics: %w", err)
	}
	t.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, // what can be told is told
		Timeout:       scrapeTime, MaxRequestsInFlight: 4, DisableCompression: true,
	})
	return reader, nil
}

// observeBuild tells which code runs.
func (t *Telemetry) observeBuild(build Build) error {
	_, err := t.Meters.Meter("github.com/concord-suite/concord/platform/telemetry").Int64ObservableGauge("concord.build.info",
		metric.WithDescription("1, for the code that the labels name."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(1, metric.WithAttributes(attribute.String("version", build.Version),
				attribute.String("revision", build.Revision), attribute.String("go", build.Go)))
			return nil
		}))
	return err
}

// attributes reads the text of OTEL_RESOURCE_ATTRIBUTES. Pairs that are none are left out: where a process runs is no
// reason for it not to.
func attributes(text string) []attribute.KeyValue {
	var all []attribute.KeyValue
	for pair := range strings.SplitSeq(text, ",") {
		key, value, found := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		plain, err := url.PathUnescape(strings.TrimSpace(value))
		if found && key != "" && err == nil {
			all = append(all, attribute.String(key, plain))
		}
	}
	return all
}
