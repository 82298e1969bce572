package serve_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve/servetest"
)

// asIs sends bytes as a message, whatever they are.
type asIs struct{ encoding.CodecV2 }

func (c asIs) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// send calls a method with bytes for a message.
func (h *house) send(ctx context.Context, method string, message []byte) error {
	as := grpc.ForceCodecV2(asIs{encoding.GetCodecV2("proto")})
	if method != "WatchThing" && method != "UploadThing" {
		return h.conn.Invoke(ctx, "/"+servetest.Service+"/"+method, message, h.Response(""), as)
	}
	stream, err := h.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+servetest.Service+"/"+method, as)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(message); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(h.Response("")); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func TestBytesThatAreNoMessageAreTheCallersMistake(t *testing.T) {
	h := start(t)
	for _, method := range []string{"GetThing", "ChangeThing", "WatchThing", "UploadThing"} {
		for _, bytes := range []string{"\xff", "\x0a\x02\xff\xfe", "\x0a\x7f"} {
			err := h.send(h.as(t, staff), method, []byte(bytes))
			e := rpcerr.From(err)
			require.Equal(t, codes.InvalidArgument, e.Code(), "%s %q: %v", method, bytes, err)
			require.Equal(t, "INVALID_REQUEST", e.Reason())
			require.NotContains(t, e.Message(), "proto")
		}
	}
}

// Whatever the bytes of a request and the token beside it are, the answer says what is wrong with them.
func FuzzCall(f *testing.F) {
	h := start(f)
	token := h.mint.Token(staff, "things")
	named, err := proto.Marshal(h.Request(ofName))
	require.NoError(f, err)
	f.Add(byte(1), token, named)
	f.Add(byte(2), "", []byte("\xff\xff"))
	f.Add(byte(7), token+"x", []byte("\x0a\x02\xff\xfe"))
	f.Add(byte(8), "a.b.c", []byte{})
	methods := h.Descriptor().Methods()
	over := f.Context().Done()
	go func() { // nobody looks at the records here, and there is room for a thousand
		for {
			select {
			case <-h.audits.ended:
			case <-h.audits.denied:
			case <-over:
				return
			}
		}
	}()
	f.Fuzz(func(t *testing.T, which byte, token string, message []byte) {
		ctx := t.Context()
		if printable(token) { // the transport takes no other header
			ctx = dial.WithToken(ctx, token)
		}
		method := string(methods.Get(int(which) % methods.Len()).Name())
		switch code := status.Code(h.send(ctx, method, message)); code {
		case codes.OK, codes.InvalidArgument, codes.Unauthenticated, codes.PermissionDenied, codes.NotFound, codes.FailedPrecondition:
		default:
			t.Errorf("%s answers %s", method, code)
		}
	})
}

func printable(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(s) < 8<<10
}
