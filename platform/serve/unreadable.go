package serve

import (
	"bytes"
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/rpcerr"
)

// errUnreadable is what bytes that are no message of the method get. The library would answer that something internal
// went wrong, in words of its own, before any interceptor is asked.
var errUnreadable = rpcerr.Default(codes.InvalidArgument).Messagef("the request is no message of this method")

// tolerant reads what is no message as a message that says so: an error of a codec is answered by the library itself.
type tolerant struct{ encoding.CodecV2 }

func newTolerant() encoding.CodecV2 { return tolerant{encoding.GetCodecV2(grpcproto.Name)} }

// mark is a field that no message has, with the highest number there is.
var mark = protowire.AppendVarint(protowire.AppendTag(nil, protowire.MaxValidNumber, protowire.VarintType), 0)

// Unmarshal implements encoding.CodecV2.
func (t tolerant) Unmarshal(data mem.BufferSlice, v any) error {
	err := t.CodecV2.Unmarshal(data, v)
	if m, ok := v.(proto.Message); ok && err != nil {
		proto.Reset(m)
		m.ProtoReflect().SetUnknown(mark)
		return nil
	}
	return err
}

// readable is the error of a message that could not be read.
func readable(v any) error {
	if m, ok := v.(proto.Message); ok && bytes.Equal(m.ProtoReflect().GetUnknown(), mark) {
		return errUnreadable
	}
	return nil
}

// onlyReadable is a service whose unary methods refuse what could not be read. Streams do in stream.RecvMsg.
func onlyReadable(desc *grpc.ServiceDesc) *grpc.ServiceDesc {
	out := *desc
	out.Methods = make([]grpc.MethodDesc, len(desc.Methods))
	for i, m := range desc.Methods {
		handle := m.Handler
		m.Handler = func(srv any, ctx context.Context, dec func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
			return handle(srv, ctx, func(v any) error {
				if err := dec(v); err != nil {
					return err
				}
				return readable(v)
			}, chain)
		}
		out.Methods[i] = m
	}
	return &out
}
