package telemetry

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// Message returns a copy of a proto message in which every field that the contract marks secret is replaced, at any
// depth: a text by "[redacted]", anything else by its zero value. Messages packed into an Any cannot be looked into
// safely and lose their content.
func Message(m proto.Message) proto.Message {
	if m == nil || !m.ProtoReflect().IsValid() {
		return m
	}
	clean := proto.Clone(m)
	redactMessage(clean.ProtoReflect())
	return clean
}

func redactMessage(m protoreflect.Message) {
	if packed, ok := m.Interface().(*anypb.Any); ok {
		packed.Value = nil
		return
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case isSecretField(field):
			m.Clear(field)
			if field.Kind() == protoreflect.StringKind && !field.IsList() {
				m.Set(field, protoreflect.ValueOfString(Redacted))
			}
		case field.IsMap():
			if field.MapValue().Message() != nil {
				value.Map().Range(func(_ protoreflect.MapKey, below protoreflect.Value) bool {
					redactMessage(below.Message())
					return true
				})
			}
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				redactMessage(value.List().Get(i).Message())
			}
		default:
			redactMessage(value.Message())
		}
		return true
	})
}

func isSecretField(field protoreflect.FieldDescriptor) bool {
	secret, _ := proto.GetExtension(field.Options(), optionsv1.E_Secret).(bool)
	return secret
}
