package telemetry_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/concord-suite/concord/platform/telemetry"
)

// collector is an OTLP collector that keeps what it receives.
type collector struct {
	tracepb.UnimplementedTraceServiceServer
	metricspb.UnimplementedMetricsServiceServer
	traces  chan *tracepb.ExportTraceServiceRequest
	metrics chan *metricspb.ExportMetricsServiceRequest
}

func (c *collector) Export(_ context.Context, r *tracepb.ExportTraceServiceRequest) (*tracepb.ExportTraceServiceResponse, error) {
	c.traces <- r
	return &tracepb.ExportTraceServiceResponse{}, nil
}

// metricsSide gives the collector's metrics service its own Export method.
type metricsSide struct {
	metricspb.UnimplementedMetricsServiceServer
	*collector
}

func (m metricsSide) Export(_ context.Context, r *metricspb.ExportMetricsServiceRequest) (*metricspb.ExportMetricsServiceResponse, error) {
	m.metrics <- r
	return &metricspb.ExportMetricsServiceResponse{}, nil
}

func startCollector(t *testing.T) (*collector, *url.URL) {
	t.Helper()
	c := &collector{
		traces:  make(chan *tracepb.ExportTraceServiceRequest, 8),
		metrics: make(chan *metricspb.ExportMetricsServiceRequest, 8),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	tracepb.RegisterTraceServiceServer(server, c)
	metricspb.RegisterMetricsServiceServer(server, metricsSide{collector: c})
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)
	return c, &url.URL{Scheme: "http", Host: listener.Addr().String()}
}

func TestTracesAndMetricsReachTheCollectorAtShutdown(t *testing.T) {
	c, endpoint := startCollector(t)
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Config{OTLPEndpoint: endpoint, TraceRatio: 1}, "auth",
		telemetry.Build{Version: "v1.2.3"}, &bytes.Buffer{})
	require.NoError(t, err)
	_, span := tel.Tracers.Tracer("test").Start(ctx, "sign-in")
	span.End()
	counter, err := tel.Meters.Meter("test").Int64Counter("sign_ins")
	require.NoError(t, err)
	counter.Add(ctx, 1)
	require.NoError(t, tel.Shutdown(ctx))

	spans := (<-c.traces).GetResourceSpans()[0]
	require.Equal(t, "sign-in", spans.GetScopeSpans()[0].GetSpans()[0].GetName())
	about := map[string]string{}
	for _, a := range spans.GetResource().GetAttributes() {
		about[a.GetKey()] = a.GetValue().GetStringValue()
	}
	require.Equal(t, map[string]string{"service.namespace": "concord", "service.name": "auth", "service.version": "v1.2.3"}, about)
	var measured []string
	for _, scope := range (<-c.metrics).GetResourceMetrics()[0].GetScopeMetrics() {
		for _, m := range scope.GetMetrics() {
			measured = append(measured, m.GetName())
		}
	}
	require.ElementsMatch(t, []string{"sign_ins", "concord.build.info"}, measured)
}

func TestWithoutACollectorNothingIsRecordedAndNothingFails(t *testing.T) {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Config{}, "auth", telemetry.Build{}, &bytes.Buffer{})
	require.NoError(t, err)
	_, span := tel.Tracers.Tracer("test").Start(ctx, "sign-in")
	require.False(t, span.IsRecording())
	require.NoError(t, tel.Shutdown(ctx))
}

func TestACollectorThatIsAwayDoesNotKeepAServiceFromStarting(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close()) // nobody answers there now
	cfg := telemetry.Config{OTLPEndpoint: &url.URL{Scheme: "http", Host: listener.Addr().String()}, TraceRatio: 1}
	tel, err := telemetry.Start(context.Background(), cfg, "auth", telemetry.Build{}, &bytes.Buffer{})
	require.NoError(t, err)
	expired, cancel := context.WithCancel(context.Background())
	cancel()
	_ = tel.Shutdown(expired) // bounded by the context, whatever it could send
}

func TestTraceContextTravelsAsTraceparent(t *testing.T) {
	c, endpoint := startCollector(t)
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Config{OTLPEndpoint: endpoint, TraceRatio: 1}, "auth", telemetry.Build{}, &bytes.Buffer{})
	require.NoError(t, err)
	ctx, span := tel.Tracers.Tracer("test").Start(ctx, "caller")
	carrier := propagation.MapCarrier{}
	tel.Propagator.Inject(ctx, carrier)
	require.Contains(t, carrier["traceparent"], span.SpanContext().TraceID().String())

	there := tel.Propagator.Extract(context.Background(), carrier)
	_, below := tel.Tracers.Tracer("test").Start(there, "callee")
	require.Equal(t, span.SpanContext().TraceID(), below.SpanContext().TraceID())
	below.End()
	span.End()
	require.NoError(t, tel.Shutdown(context.Background()))
	<-c.traces
}

func TestBuild(t *testing.T) {
	require.NotEmpty(t, telemetry.ReadBuild().Version)
	require.Equal(t, "v1 (commit 0123456789ab, modified) go1.26",
		telemetry.Build{Version: "v1", Revision: "0123456789abcdef", Modified: true, Go: "go1.26"}.String())
	require.Equal(t, "devel", telemetry.Build{Version: "devel"}.String())
}
