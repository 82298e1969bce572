package storm

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// grpcCalls sends requests to the services themselves.
type grpcCalls struct {
	conns   map[string]*grpc.ClientConn
	methods []protoreflect.MethodDescriptor
}

// newGRPCCalls asks every service by reflection what it answers; the messages are those of the contract.
func newGRPCCalls(t *testing.T, addresses map[string]string) *grpcCalls {
	c := &grpcCalls{conns: map[string]*grpc.ClientConn{}}
	served := map[string]bool{}
	for name, address := range addresses {
		c.conns[name] = dial(t, address)
		for _, service := range reflected(t, c.conns[name]) {
			served[service] = true
		}
	}
	for _, m := range methods() {
		require.True(t, served[string(m.Parent().FullName())], "%s is in the contract and nobody answers it", m.FullName())
		c.methods = append(c.methods, m)
	}
	return c
}

// reflected lists the services behind an address.
func reflected(t *testing.T, conn *grpc.ClientConn) (names []string) {
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	}))
	resp, err := stream.Recv()
	require.NoError(t, err)
	for _, s := range resp.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	require.NoError(t, stream.CloseSend())
	return names
}

// methods are those of every service of the contract.
func methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				if strings.HasPrefix(string(s.FullName()), "concord.") {
					all = append(all, s.Methods().Get(j))
				}
			}
		}
		return true
	})
	slices.SortFunc(all, func(a, b protoreflect.MethodDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return all
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func bearing(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// request makes a request, to be sent once or more.
func (c *grpcCalls) request(r *rand.Rand, callers *cast, p *pool) func() outcome {
	m := c.methods[r.IntN(len(c.methods))]
	who := callers.pick(r, m)
	a := author{r, who, p, mannerOf(r)}
	message := a.message(m.Input(), 0).Interface()
	sent, _ := proto.Marshal(message) // cannot fail: no text is invalid yet, no field is required
	sent = spoil(sent)
	p.says(who, string(sent))
	service := strings.Split(string(m.FullName()), ".")[1]
	token := who.internal[service]
	switch r.IntN(30) {
	case 0:
		token = "eyJhbGciOiJub25lIn0.e30."
	case 1: // meant for another service
		for _, other := range who.internal {
			token = other
		}
	case 2: // what people hold is no token below the gateway
		token = who.token
	}
	return func() outcome {
		out := outcome{call: string(m.FullName())[len("concord."):], way: "gRPC", who: who, sent: string(sent)}
		ctx, cancel := context.WithTimeout(bearing(context.Background(), token), patience)
		defer cancel()
		answer, err := c.invoke(ctx, m, service, sent, &out)
		out.code = status.Code(err).String()
		s := status.Convert(err)
		out.detail = s.Message()
		for _, d := range s.Details() {
			if info, ok := d.(*errdetails.ErrorInfo); ok {
				out.reason = info.GetReason()
			}
			out.answer += fmt.Sprint(d)
		}
		out.answer += s.Message()
		if err == nil && answer != nil {
			out.json, _ = protojson.Marshal(answer)
			out.answer = string(out.json)
		}
		return out
	}
}

// invoke calls a method. Of a stream it takes the first answer: reading on would wait for what may never come.
func (c *grpcCalls) invoke(
	ctx context.Context, m protoreflect.MethodDescriptor, service string, message []byte, out *outcome,
) (proto.Message, error) {
	conn, full := c.conns[service], fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
	answer := dynamicpb.NewMessage(m.Output())
	as := grpc.ForceCodecV2(asIs{encoding.GetCodecV2("proto")})
	if !m.IsStreamingClient() && !m.IsStreamingServer() {
		return answer, conn.Invoke(ctx, full, message, answer, as)
	}
	out.streamed = true
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: true}, full, as)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(message); err != nil && err != io.EOF {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	if err := stream.RecvMsg(answer); err != nil {
		if err == io.EOF {
			return nil, nil
		}
		return nil, err
	}
	return answer, nil
}

// asIs sends bytes as they are, as a message that no library would write.
type asIs struct{ encoding.CodecV2 }

// Marshal implements encoding.CodecV2.
func (c asIs) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// innocent are codes by which a service says what is wrong with the request or the moment.
var innocent = []codes.Code{
	codes.OK, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.ResourceExhausted,
	codes.FailedPrecondition, codes.Aborted, codes.OutOfRange, codes.Unauthenticated,
}
