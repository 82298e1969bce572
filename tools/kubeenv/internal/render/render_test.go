package render

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: auth, namespace: concord}
spec:
  replicas: 2
  template:
    spec:
      initContainers: [{name: wait, image: registry.example/wait:1}]
      containers: [{name: concord, image: concord/auth}]
`

// overlay writes deploy/k8s with one overlay and returns its path.
func overlay(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "overlays", "small")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"kustomization.yaml": "resources: [auth.yaml]\n", "auth.yaml": deployment} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestAllRendersFoldersThatAreThere(t *testing.T) {
	sets, err := All(overlay(t), "overlays", "tests")
	if err != nil {
		t.Fatal(err)
	}
	if len(sets) != 1 || sets[0].Name != "overlays/small" || len(sets[0].Objects) != 1 {
		t.Fatalf("got %+v, want overlays/small with one object", sets)
	}
}

func TestWithDigestsNamesOwnImagesAlone(t *testing.T) {
	sets, err := All(overlay(t), "overlays")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := sets[0].WithDigests(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := whole.Objects[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`"registry.example/concord/auth@sha256:[0-9a-f]{64}"`).Match(text) {
		t.Errorf("our image has no digest: %s", text)
	}
	if !strings.Contains(string(text), `"registry.example/wait:1"`) {
		t.Errorf("another image was changed, so that nobody is told of its tag: %s", text)
	}
	again, err := whole.WithDigests(t.TempDir())
	if err != nil || again.Dir != whole.Dir {
		t.Errorf("a set that has all digests became another one: %q, %v", again.Dir, err)
	}
}

func TestFileReadsEachDocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "two.yaml")
	if err := os.WriteFile(path, []byte("---\nkind: A\napiVersion: v1\n---\nkind: B\napiVersion: v1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := File(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 2 || objects[0].GetKind() != "A" || objects[1].GetKind() != "B" {
		t.Errorf("got %v", objects)
	}
}

// The same definitions have to be installed here as tools/kube makes schemas of.
func TestSourcesAreThoseOfTheSchemas(t *testing.T) {
	schemas, err := os.ReadFile("../../../kube/schema/source.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sources {
		for _, part := range []string{s.module, s.version, s.sum} {
			if !strings.Contains(string(schemas), `"`+part+`"`) {
				t.Errorf("tools/kube/schema does not have %s of %s", part, s.module)
			}
		}
	}
}
