package cluster

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func object(version, replicas string, annotations map[string]any) *unstructured.Unstructured {
	metadata := map[string]any{"name": "auth", "resourceVersion": version, "managedFields": []any{map[string]any{"time": version}}}
	if annotations != nil {
		metadata["annotations"] = annotations
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"metadata": metadata,
		"spec":     map[string]any{"replicas": replicas},
		"status":   map[string]any{"observed": version},
	}}
}

func TestSame(t *testing.T) {
	revision := map[string]any{"deployment.kubernetes.io/revision": "1"}
	for _, c := range []struct {
		name          string
		before, after *unstructured.Unstructured
		want          bool
	}{
		{"untouched", object("1", "2", nil), object("1", "2", nil), true},
		{"a controller wrote the status", object("1", "2", nil), object("2", "2", nil), true},
		{"a controller wrote the revision", object("1", "2", nil), object("2", "2", revision), true},
		{"another specification", object("1", "2", nil), object("2", "3", nil), false},
		{"another annotation", object("1", "2", nil), object("2", "2", map[string]any{"note": "new"}), false},
	} {
		if got := Same(c.before, c.after); got != c.want {
			t.Errorf("%s: got %t, want %t", c.name, got, c.want)
		}
	}
}
