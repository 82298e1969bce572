// Package servetest is a small service to try the RPC layer on: real descriptors with real rules, made at run time, since
// the contract has no place for a test service. Its handlers do what a test tells them.
package servetest

import (
	"context"
	_ "embed"
	"fmt"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate" // the rules in things.txtpb
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Service is the full name of the test service.
const Service = "concord.test.v1.ThingService"

//go:embed things.txtpb
var text []byte

// Things is the test service: descriptors and handlers.
type Things struct {
	// Files finds its descriptors.
	Files *protoregistry.Files
	// Unary handles unary calls; the default answers an empty Thing.
	Unary func(ctx context.Context, method string, req *dynamicpb.Message) (*dynamicpb.Message, error)
	// Stream handles streams; the default reads one message and answers one.
	Stream func(method string, s Stream) error

	service protoreflect.ServiceDescriptor
}

// Stream is a stream of the test service as its handler sees it.
type Stream struct {
	grpc.ServerStream
	things *Things
}

// Recv receives one request.
func (s Stream) Recv() (*dynamicpb.Message, error) {
	m := s.things.Request(nil)
	return m, s.RecvMsg(m)
}

// Send sends one answer.
func (s Stream) Send(text string) error { return s.SendMsg(s.things.Response(text)) }

// New makes the test service. An edit changes the file before it is read, to try what a wrong contract does.
func New(edits ...func(*descriptorpb.FileDescriptorProto)) (*Things, error) {
	file := &descriptorpb.FileDescriptorProto{}
	if err := prototext.Unmarshal(text, file); err != nil {
		return nil, fmt.Errorf("servetest: %w", err)
	}
	for _, edit := range edits {
		edit(file)
	}
	fd, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		return nil, fmt.Errorf("servetest: %w", err)
	}
	t := &Things{Files: new(protoregistry.Files), service: fd.Services().Get(0)}
	if err := t.Files.RegisterFile(fd); err != nil {
		return nil, fmt.Errorf("servetest: %w", err)
	}
	t.Unary = func(context.Context, string, *dynamicpb.Message) (*dynamicpb.Message, error) {
		return t.Response(""), nil
	}
	t.Stream = func(_ string, s Stream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		return s.Send("")
	}
	return t, nil
}

// Descriptor is the descriptor of the service.
func (t *Things) Descriptor() protoreflect.ServiceDescriptor { return t.service }

// Request makes a request; keys are dotted field paths.
func (t *Things) Request(fields map[string]string) *dynamicpb.Message {
	m := dynamicpb.NewMessage(t.service.Methods().Get(0).Input())
	for path, v := range fields {
		set(m, path, v)
	}
	return m
}

func set(m protoreflect.Message, path, v string) {
	f := m.Descriptor().Fields()
	switch path {
	case "thing.name":
		thing := m.Mutable(f.ByName("thing")).Message()
		thing.Set(thing.Descriptor().Fields().ByName("name"), protoreflect.ValueOfString(v))
	case "others":
		m.Mutable(f.ByName("others")).List().Append(protoreflect.ValueOfString(v))
	default:
		m.Set(f.ByName(protoreflect.Name(path)), protoreflect.ValueOfString(v))
	}
}

// Response makes an answer.
func (t *Things) Response(text string) *dynamicpb.Message {
	m := dynamicpb.NewMessage(t.service.Methods().Get(0).Output())
	m.Set(m.Descriptor().Fields().ByName("text"), protoreflect.ValueOfString(text))
	return m
}

// Text reads the text of an answer.
func Text(m proto.Message) string {
	r := m.ProtoReflect()
	return r.Get(r.Descriptor().Fields().ByName("text")).String()
}

// Register registers the service as generated code would.
func (t *Things) Register(r grpc.ServiceRegistrar) {
	desc := &grpc.ServiceDesc{ServiceName: Service, HandlerType: (*any)(nil), Metadata: t.service.ParentFile().Path()}
	for i := range t.service.Methods().Len() {
		m := t.service.Methods().Get(i)
		full := "/" + Service + "/" + string(m.Name())
		if m.IsStreamingClient() || m.IsStreamingServer() {
			desc.Streams = append(desc.Streams, grpc.StreamDesc{
				StreamName: string(m.Name()), ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer(),
				Handler: func(_ any, s grpc.ServerStream) error { return t.Stream(string(m.Name()), Stream{s, t}) },
			})
			continue
		}
		desc.Methods = append(desc.Methods, grpc.MethodDesc{
			MethodName: string(m.Name()),
			Handler: func(_ any, ctx context.Context, decode func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
				req := t.Request(nil)
				if err := decode(req); err != nil {
					return nil, err
				}
				handle := func(ctx context.Context, req any) (any, error) {
					return t.Unary(ctx, string(m.Name()), req.(*dynamicpb.Message))
				}
				if chain == nil {
					return handle(ctx, req)
				}
				return chain(ctx, req, &grpc.UnaryServerInfo{FullMethod: full}, handle)
			},
		})
	}
	r.RegisterService(desc, t)
}

// Call makes a unary call of the test service.
func (t *Things) Call(ctx context.Context, cc grpc.ClientConnInterface, method string, fields map[string]string) (string, error) {
	resp := t.Response("")
	err := cc.Invoke(ctx, "/"+Service+"/"+method, t.Request(fields), resp)
	return Text(resp), err
}

// Open opens a stream of the test service.
func (t *Things) Open(ctx context.Context, cc grpc.ClientConnInterface, method string) (grpc.ClientStream, error) {
	return cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+Service+"/"+method)
}
