package contract

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/concord-suite/concord/proto/gen/openapi"
)

func TestOpenAPIDocumentIsValidAndComplete(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	require.Equal(t, "Concord", doc.Info.Title)

	ids := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			ids[operation.OperationID] = true
			assert.NotNil(t, operation.Responses.Default(), "%s %s does not say what an error looks like", method, path)
			assert.Contains(t, operation.Extensions, "x-concord-permission", "%s %s", method, path)
			assert.NotEmpty(t, operation.Summary, "%s %s has no words", method, path)
		}
	}
	for _, m := range methods() {
		if httpOf(m) == nil {
			continue
		}
		id := string(m.Parent().Name()) + "_" + string(m.Name())
		assert.True(t, ids[id], "%s is not in the document", id)
	}
}

// operations are the operations of the document by their ids.
func operations(t *testing.T) (*openapi3.T, map[string]*openapi3.Operation) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	require.NoError(t, err)
	all := map[string]*openapi3.Operation{}
	for _, item := range doc.Paths.Map() {
		for _, operation := range item.Operations() {
			all[operation.OperationID] = operation
		}
	}
	return doc, all
}

// missing is what the validation says an empty request lacks: the fields at the request's own level by their JSON names.
func missing(t *testing.T, m protoreflect.MessageDescriptor) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := protovalidate.Validate(dynamicpb.NewMessage(m))
	if err == nil {
		return names
	}
	broken, ok := err.(*protovalidate.ValidationError)
	require.True(t, ok, "%s: %v", m.FullName(), err)
	for _, v := range broken.Violations {
		if v.FieldDescriptor != nil { // else one of several fields is lacking, none of which is required by itself
			names[v.FieldDescriptor.JSONName()] = true
		}
	}
	return names
}

// TestOpenAPIRequiresWhatTheValidationRequires: a body without a required field is refused, and only such a field is
// called required, so that programs made from the document neither leave one out nor ask for what nobody needs.
func TestOpenAPIRequiresWhatTheValidationRequires(t *testing.T) {
	_, all := operations(t)
	checked := 0
	for _, m := range methods() {
		operation := all[string(m.Parent().Name())+"_"+string(m.Name())]
		if operation == nil || operation.RequestBody == nil {
			continue
		}
		rule := httpOf(m)
		body := m.Input()
		if rule.GetBody() != "*" {
			body = body.Fields().ByName(protoreflect.Name(rule.GetBody())).Message()
		}
		schema := operation.RequestBody.Value.Content.Get("application/json").Schema.Value
		lacks := missing(t, body)
		for name := range schema.Properties {
			if name == "name" && rule.GetBody() != "*" {
				continue // a resource's own name stands in the path
			}
			checked++
			assert.Equal(t, lacks[name], slices.Contains(schema.Required, name), "%s: %s", m.FullName(), name)
		}
	}
	assert.Greater(t, checked, 80)
}

// TestOpenAPISaysHowACallIsMadeOnce: every call with a request_id takes it as a header too, whichever address it has.
func TestOpenAPISaysHowACallIsMadeOnce(t *testing.T) {
	_, all := operations(t)
	for _, m := range methods() {
		id := string(m.Parent().Name()) + "_" + string(m.Name())
		if httpOf(m) == nil {
			continue
		}
		for i := range httpOf(m).GetAdditionalBindings() {
			require.NotNil(t, all[id+"_"+string(rune('1'+i))], "%s has another address", id)
		}
		takes := all[id].Parameters.GetByInAndName("header", "Idempotency-Key") != nil
		assert.Equal(t, m.Input().Fields().ByName("request_id") != nil, takes, id)
	}
	assert.NotNil(t, all["DocumentService_Upload"].Parameters.GetByInAndName("header", "Idempotency-Key"))
}

// TestOpenAPIKnowsEveryReason: what an error's reason can be, and what it means.
func TestOpenAPIKnowsEveryReason(t *testing.T) {
	doc, all := operations(t)
	reason := doc.Components.Schemas["Reason"].Value
	raw, err := json.Marshal(reason.Extensions["x-concord-reasons"])
	require.NoError(t, err)
	var meanings map[string]string
	require.NoError(t, json.Unmarshal(raw, &meanings))
	for _, f := range files() {
		e := f.Enums().ByName("ErrorReason")
		for i := 1; e != nil && i < e.Values().Len(); i++ {
			name := strings.TrimPrefix(string(e.Values().Get(i).Name()), "ERROR_REASON_")
			assert.NotEmpty(t, meanings[name], name)
			assert.Contains(t, reason.AnyOf[0].Value.Enum, any(name))
		}
	}
	for _, name := range []string{"REQUEST_ID_REUSED", "BODY_TOO_LARGE", "INVALID_REQUEST", "CSRF"} {
		assert.NotEmpty(t, meanings[name], name)
	}
	// The bytes have their own addresses, and whoever has the token needs no session.
	for _, id := range []string{"DocumentService_GetBytes", "DocumentService_PutBytes"} {
		require.NotNil(t, all[id], id)
		assert.Empty(t, *all[id].Security, id)
	}
	assert.True(t, doc.Components.Schemas["concord.sync.v1.Client"].Value.Properties["name"].Value.ReadOnly)
}
