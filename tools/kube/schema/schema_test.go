package schema_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/concord-suite/concord/tools/kube/schema"
)

func sources(t *testing.T) schema.Sources {
	t.Helper()
	s, err := schema.Read("../../../deploy/k8s/definitions.yaml")
	require.NoError(t, err)
	return s
}

// folder are the schemas that the other tests use, too.
func folder(t *testing.T) string {
	t.Helper()
	cache, err := filepath.Abs("../../../.cache/kube")
	require.NoError(t, err)
	made, err := sources(t).Make(cache)
	require.NoError(t, err)
	return made
}

func TestEverySchemaIsOne(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(folder(t), "*.json"))
	require.NoError(t, err)
	require.Greater(t, len(files), 150)
	compiler := jsonschema.NewCompiler()
	for _, file := range files {
		_, err := compiler.Compile(file)
		require.NoError(t, err, file)
	}
}

// deployment is one that the schema takes, with a place for more.
const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: x}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers: [{name: x, image: web, resources: {requests: {cpu: 1, memory: 1Gi}}, ports: [{containerPort: 80}]}]
      `

func TestSchemasAreStrict(t *testing.T) {
	made := folder(t)
	for _, test := range []struct{ name, file, text, says string }{
		{"right", "deployment-apps-v1", deployment, ""},
		{"unknown field", "deployment-apps-v1", deployment + "topologySpreadConstraints: [{maxSkw: 1, topologyKey: x, whenUnsatisfiable: DoNotSchedule}]", "maxSkw"},
		{"wrong type", "deployment-apps-v1", deployment + "terminationGracePeriodSeconds: soon", "terminationGracePeriodSeconds"},
		{"unknown field of the metadata", "service-v1", "{apiVersion: v1, kind: Service, metadata: {nam: x}}", "nam"},
		{"number or text", "service-v1", "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {ports: [{port: 1, targetPort: x}, {port: 2, targetPort: 2}]}}", ""},
		{"wrong version", "service-v1", "{apiVersion: v2, kind: Service, metadata: {name: x}}", "apiVersion"},
		{
			"a route right", "grpcroute-gateway-v1",
			"{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: x}, spec: {hostnames: [a.example]}}", "",
		},
		{
			"a route's unknown field", "grpcroute-gateway-v1",
			"{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: x}, spec: {hostnamez: [a.example]}}", "hostnamez",
		},
		{
			"a number where an operator wants text", "certificate-cert-manager-v1",
			"{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: x}, spec: {secretName: x, duration: 7, issuerRef: {name: x}}}", "duration",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			compiled, err := jsonschema.NewCompiler().Compile(filepath.Join(made, test.file+".json"))
			require.NoError(t, err)
			var object any
			require.NoError(t, yaml.Unmarshal([]byte(test.text), &object))
			err = compiled.Validate(object)
			if test.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.says)
		})
	}
}

func TestDeprecatedFindsKindsAndFields(t *testing.T) {
	made := folder(t)
	var pod map[string]any
	require.NoError(t, json.Unmarshal([]byte(`{"apiVersion": "v1", "kind": "Pod", "spec": {"serviceAccount": "x", "containers": [{"name": "x"}]}}`), &pod))
	found, err := schema.Deprecated(made, "v1", "Pod", pod)
	require.NoError(t, err)
	require.Equal(t, []string{"spec.serviceAccount"}, found)
	found, err = schema.Deprecated(made, "v1", "Endpoints", map[string]any{})
	require.NoError(t, err)
	require.Equal(t, []string{""}, found)
	_, err = schema.Deprecated(made, "policy/v1beta1", "PodDisruptionBudget", nil)
	require.Error(t, err, "a kind that no cluster has any more")
}

// Packages are tested at the same time, and all want the schemas: who comes second takes what is there.
func TestSchemasAreMadeByTwoAtOnce(t *testing.T) {
	cache := t.TempDir()
	from, errs := sources(t), make(chan error, 2)
	for range 2 {
		go func() { _, err := from.Make(cache); errs <- err }()
	}
	require.NoError(t, <-errs)
	require.NoError(t, <-errs)
	left, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing unfinished stays")
}
