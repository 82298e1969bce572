package front

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // reflection and health speak it
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// frame is a message that is passed on unread.
type frame struct{ data []byte }

// raw is the codec of frames. What is not a frame belongs to the services that the front itself answers.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return mem.BufferSlice{mem.SliceBuffer(f.data)}, nil
	}
	return encoding.GetCodecV2("proto").Marshal(v)
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	if f, ok := v.(*frame); ok {
		f.data = data.Materialize()
		return nil
	}
	if err := encoding.GetCodecV2("proto").Unmarshal(data, v); err != nil {
		return fmt.Errorf("reading a message: %w", err)
	}
	return nil
}

// reflected lists the services of the contract beside those the server answers itself.
type reflected struct{ *grpc.Server }

// GetServiceInfo implements reflection.ServiceInfoProvider.
func (r reflected) GetServiceInfo() map[string]grpc.ServiceInfo {
	all := r.Server.GetServiceInfo()
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			if s := f.Services().Get(i); s.FullName().Parent().Parent().Parent() == "concord" {
				all[string(s.FullName())] = grpc.ServiceInfo{Metadata: f.Path()}
			}
		}
		return true
	})
	return all
}
