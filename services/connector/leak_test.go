package connector_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// recorded is a connection that keeps every answer, errors with their details included.
type recorded struct {
	next grpc.ClientConnInterface

	mu      sync.Mutex
	answers strings.Builder
	count   int
}

func (r *recorded) keep(m any, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if err != nil {
		m = status.Convert(err).Proto()
	}
	b, _ := proto.Marshal(m.(proto.Message))
	r.answers.Write(b)
}

func (r *recorded) Invoke(ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
	err := r.next.Invoke(ctx, method, in, out, opts...)
	r.keep(out, err)
	return err
}

func (r *recorded) NewStream(ctx context.Context, d *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := r.next.NewStream(ctx, d, method, opts...)
	return recordedStream{stream, r}, err
}

type recordedStream struct {
	grpc.ClientStream
	r *recorded
}

func (s recordedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	s.r.keep(m, err)
	return err
}

// TestS02_TokensNeverLeaveTheConnector looks for every token that the provider ever gave out, as it is and in base64, in all
// that the connector lets out: answers and errors of RPCs, events, audit entries, stored answers, logs of every level and
// traces.
func TestS02_TokensNeverLeaveTheConnector(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	each(t, options{tracer: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))}, func(t *testing.T, s *suite) {
		out := &recorded{next: s.conn}
		s.connections, s.records = connectorv1.NewConnectionServiceClient(out), connectorv1.NewRecordServiceClient(out)
		c := s.connect(firmA, sim.Owner, sim.PracticeName)
		s.list(c, clients)
		for _, fault := range []world.Fault{{Kind: faults.Status, Status: 500}, {Kind: faults.Status, Status: 401}, {Kind: faults.HalfXML}, {Kind: faults.Cut, Bytes: 100}} {
			fault.Path, fault.Count = "*/client.api/list", 1
			s.fault(fault)
			_, _ = s.stream(&connectorv1.StreamRecordsRequest{Connection: c.GetName(), Listing: clients}) // what it answers is looked at
		}
		s.clock.forward(26 * time.Minute) // a renewal
		s.list(c, clients)
		denied := s.start(firmA)
		_, err := s.complete(&connectorv1.CompleteConnectAttemptRequest{State: query(denied.GetAuthorizeUrl()).Get("state"),
			Code: "no code", BrowserBinding: denied.GetBrowserBinding()})
		require.NoError(t, err)
		_, err = s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: c.GetName(), RequestId: uuid.NewString()})
		require.NoError(t, err)
		s.until("the provider was told", func() bool { return len(s.upstream()) == 0 })

		places := map[string]string{"an RPC's answer": out.answers.String(), "the database": s.dump(), "the log": s.logs.String(),
			"a trace": fmt.Sprintf("%+v", spans.GetSpans())}
		require.GreaterOrEqual(t, len(s.wire.secrets), 5, "consent and renewal")
		require.Greater(t, out.count, 10)
		require.NotEmpty(t, spans.GetSpans())
		for what, text := range places {
			for _, secret := range s.wire.secrets {
				require.False(t, strings.Contains(text, secret), "a token is in %s", what)
				require.False(t, strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(secret))), "a token is in %s", what)
			}
		}
		t.Logf("%d tokens looked for in %d answers, %d spans, %d bytes of log and %d of database", len(s.wire.secrets), out.count,
			len(spans.GetSpans()), len(places["the log"]), len(places["the database"]))
	})
}
