package contract

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
