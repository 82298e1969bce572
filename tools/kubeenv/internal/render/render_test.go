package render

import (
	"os"
	"path/filepath"
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
