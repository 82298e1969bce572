package trial

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func workload(kind, name, image string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"kind": kind, "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"minReadySeconds": int64(30),
			"template":        map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"image": image}}}},
		},
	}}
}

func TestReleaseChangesImagesAndNamesOfJobs(t *testing.T) {
	image := "registry.example/auth@sha256:" + strings.Repeat("0", 64)
	before := []*unstructured.Unstructured{workload("Deployment", "auth", image), workload("Job", "auth-migrate", image)}
	after := release(before)
	for i, name := range []string{"auth", "auth-migrate-next"} {
		if got := after[i].GetName(); got != name {
			t.Errorf("name: got %q, want %q", got, name)
		}
		containers, _, _ := unstructured.NestedSlice(after[i].Object, "spec", "template", "spec", "containers")
		got, _ := containers[0].(map[string]any)["image"].(string)
		if got == image || !strings.HasPrefix(got, "registry.example/auth@sha256:") || len(got) != len(image) {
			t.Errorf("image: got %q, want another digest of the same length", got)
		}
	}
	if got := before[1].GetName(); got != "auth-migrate" {
		t.Errorf("the objects themselves were changed: %q", got)
	}
}

func TestImpatientShortensThePauseOnly(t *testing.T) {
	plain := &unstructured.Unstructured{Object: map[string]any{"kind": "ConfigMap", "data": map[string]any{"minReadySeconds": "30"}}}
	after := impatient([]*unstructured.Unstructured{workload("Deployment", "auth", "image"), plain})
	if got, _, _ := unstructured.NestedInt64(after[0].Object, "spec", "minReadySeconds"); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
	if got, _, _ := unstructured.NestedString(after[1].Object, "data", "minReadySeconds"); got != "30" {
		t.Errorf("a ConfigMap's data became %q", got)
	}
}
