package violation_test

import (
	"errors"
	"testing"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate" // the rules in the description below
	"buf.build/go/protovalidate"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/concord-suite/concord/platform/serve/violation"
)

const id = `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`

// file describes a request whose fields have the rules that the contract uses.
const file = `
name: "concord/test/v1/violation.proto" package: "concord.test.v1" syntax: "proto3" dependency: "buf/validate/validate.proto"
enum_type { name: "Kind" value { name: "KIND_UNSPECIFIED" number: 0 } value { name: "KIND_MANUAL" number: 1 } value { name: "KIND_FULL" number: 2 } }
message_type {
  name: "Request"
  field { name: "kind" number: 1 type: TYPE_ENUM type_name: ".concord.test.v1.Kind" label: LABEL_OPTIONAL
    options { [buf.validate.field] { enum { defined_only: true not_in: 0 } } } }
  field { name: "client" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL
    options { [buf.validate.field] { string { pattern: "^firms/` + id + `/clients/` + id + `$" } } } }
  field { name: "account" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL
    options { [buf.validate.field] { string { pattern: "^firms/` + id + `/(staff|contactLogins)/` + id + `$" } } } }
  field { name: "hash" number: 4 type: TYPE_STRING label: LABEL_OPTIONAL
    options { [buf.validate.field] { string { pattern: "^[0-9a-f]{4}$" } } } }
  field { name: "word" number: 5 type: TYPE_STRING label: LABEL_OPTIONAL
    options { [buf.validate.field] { string { in: ["A", "B"] } } } }
  field { name: "email" number: 6 type: TYPE_STRING label: LABEL_OPTIONAL
    options { [buf.validate.field] { string { email: true } } } }
  field { name: "size" number: 7 type: TYPE_INT64 label: LABEL_OPTIONAL proto3_optional: true oneof_index: 0
    options { [buf.validate.field] { required: true } } }
  field { name: "text" number: 8 type: TYPE_STRING label: LABEL_OPTIONAL
    options { [buf.validate.field] { string { min_len: 2 max_len: 3 } } } }
  field { name: "clients" number: 9 type: TYPE_STRING label: LABEL_REPEATED
    options { [buf.validate.field] { repeated { min_items: 1 items { string { pattern: "^firms/` + id + `/clients/` + id + `$" } } } } } }
  field { name: "kinds" number: 10 type: TYPE_ENUM type_name: ".concord.test.v1.Kind" label: LABEL_REPEATED
    options { [buf.validate.field] { repeated { max_items: 1 } } } }
  field { name: "allowed" number: 11 type: TYPE_ENUM type_name: ".concord.test.v1.Kind" label: LABEL_REPEATED
    options { [buf.validate.field] { repeated { items { enum { in: [1, 2] } } } } } }
  oneof_decl { name: "_size" }
}`

// broken validates a request, given as text, and answers the words by field.
func broken(t *testing.T, request string) map[string]string {
	t.Helper()
	var described descriptorpb.FileDescriptorProto
	require.NoError(t, prototext.Unmarshal([]byte(file), &described))
	f, err := protodesc.NewFile(&described, protoregistry.GlobalFiles)
	require.NoError(t, err)
	m := dynamicpb.NewMessage(f.Messages().ByName(protoreflect.Name("Request")))
	require.NoError(t, prototext.Unmarshal([]byte(request), m))
	found, ok := errors.AsType[*protovalidate.ValidationError](protovalidate.Validate(m))
	require.True(t, ok)
	words := map[string]string{}
	for _, v := range found.Violations {
		words[protovalidate.FieldPathString(v.Proto.GetField())] = violation.Words(v, m.Descriptor())
	}
	return words
}

func TestWhatIsMissingIsRequired(t *testing.T) {
	const name = `is required; a name like "firms/{firm}/clients/{client}", with UUIDs in lower case`
	require.Equal(t, map[string]string{
		"kind": "is required; one of KIND_MANUAL, KIND_FULL", "client": name,
		"account": `is required; a name like "firms/{firm}/staff/{staff}" or "firms/{firm}/contactLogins/{contactLogin}", with UUIDs in lower case`,
		"hash":    "is required", "word": "is required; one of A, B", "email": "is required", "size": "is required", "text": "is required",
		"clients": "must hold at least 1",
	}, broken(t, ""))
}

func TestWhatIsWrongSaysWhatIsRight(t *testing.T) {
	got := broken(t, `kind: 7 client: "x" account: "x" hash: "x" word: "C" email: "x" size: 0 text: "long enough" clients: "x" kinds: [KIND_MANUAL, KIND_FULL] allowed: [KIND_FULL, 7]`)
	require.Equal(t, "must be one of KIND_MANUAL, KIND_FULL", got["allowed[1]"])
	require.Equal(t, "must hold at most 1", got["kinds"])
	require.Equal(t, "must be one of KIND_MANUAL, KIND_FULL", got["kind"])
	require.Equal(t, `must be a name like "firms/{firm}/clients/{client}", with UUIDs in lower case`, got["client"])
	require.Equal(t, got["client"], got["clients[0]"])
	require.Equal(t, "must be one of A, B", got["word"])
	require.NotContains(t, got, "size")
	for _, field := range []string{"hash", "email", "text"} {
		require.NotEmpty(t, got[field], field)
		require.NotContains(t, got[field], "required", field)
	}
}
