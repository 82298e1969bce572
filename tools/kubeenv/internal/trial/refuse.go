package trial

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/concord-suite/concord/tools/kubeenv/internal/cluster"
)

// sample is a pod that is admitted. Each refusal changes one thing of it.
const sample = `
apiVersion: v1
kind: Pod
metadata: {name: sample, namespace: concord}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: concord
      image: registry.example/concord/auth@sha256:af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`

// refused are pods that must not be admitted, and words of the answer that show for which reason.
var refused = []struct {
	what, because string
	change        func(pod, container map[string]any)
}{
	{"an image by tag", byDigest, tagged},
	{"an image without either", byDigest, func(_, container map[string]any) {
		container["image"] = "registry.example/concord/auth"
	}},
	{"an image by tag in an init container", byDigest, func(pod, container map[string]any) {
		init := (&unstructured.Unstructured{Object: container}).DeepCopy().Object
		init["name"], init["image"] = "init", "registry.example/tool:latest"
		pod["initContainers"] = []any{init}
	}},
	{"a privileged container", "privileged", func(_, container map[string]any) {
		container["securityContext"] = map[string]any{"privileged": true}
	}},
	{"a container that runs as root", "runAsNonRoot", func(pod, _ map[string]any) {
		pod["securityContext"] = map[string]any{"seccompProfile": map[string]any{"type": "RuntimeDefault"}}
	}},
	{"a container that keeps its capabilities", "unrestricted capabilities", func(_, container map[string]any) {
		container["securityContext"] = map[string]any{"allowPrivilegeEscalation": false}
	}},
	{"a folder of the node", "hostPath", func(pod, _ map[string]any) {
		pod["volumes"] = []any{map[string]any{"name": "node", "hostPath": map[string]any{"path": "/"}}}
	}},
	{"the node's network", "hostNetwork", func(pod, _ map[string]any) { pod["hostNetwork"] = true }},
}

// byDigest is how the policy for images begins its answer.
const byDigest = "name images by digest"

// tagged gives a container an image by tag.
func tagged(_, container map[string]any) { container["image"] = "registry.example/concord/auth:1.4.2" }

// refusals shows that what guards the namespace guards it: a policy that refuses nothing looks like one that is met.
func (t *Trial) refusals(ctx context.Context) error {
	t.Report.Head("refused")
	// Policies take effect a moment after they are accepted.
	err := cluster.Await(ctx, settleLimit, func(ctx context.Context) (string, error) {
		if err := t.Cluster.Try(ctx, podWith(refused[0].change)); err == nil {
			return "the policy for images to take effect", nil
		}
		return "", nil
	})
	if err != nil {
		t.Report.Fail("refused", "%v", err)
	}
	for _, r := range refused {
		t.mustRefuse(ctx, r.what, r.because, podWith(r.change))
	}
	if err := t.Cluster.Try(ctx, podWith(nil)); err != nil {
		t.Report.Fail("refused", "a pod without any of that is refused as well: %s", cluster.Reason(err))
	}
	t.makersRefused(ctx)
	if err := t.operator(ctx); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (t *Trial) mustRefuse(ctx context.Context, what, because string, object *unstructured.Unstructured) {
	err := t.Cluster.Try(ctx, object)
	switch {
	case err == nil:
		t.Report.Fail("refused", "%s was admitted", what)
	case !isFor(err, because):
		t.Report.Fail("refused", "%s, but not for that: %s", what, cluster.Reason(err))
	default:
		t.Report.Line("yes", "%s", what)
	}
}

// isFor tells whether the API server refused for a reason, by words of its answer.
func isFor(err error, because string) bool { return strings.Contains(cluster.Reason(err), because) }

func podWith(change func(pod, container map[string]any)) *unstructured.Unstructured {
	pod := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(sample), &pod.Object); err != nil {
		panic(fmt.Sprintf("the sample pod: %v", err))
	}
	// Numbers of YAML become floats, which the API machinery does not know; JSON has it right.
	content, err := pod.MarshalJSON()
	if err == nil {
		err = pod.UnmarshalJSON(content)
	}
	if err != nil {
		panic(fmt.Sprintf("the sample pod: %v", err))
	}
	spec := pod.Object["spec"].(map[string]any)
	if change != nil {
		change(spec, spec["containers"].([]any)[0].(map[string]any))
	}
	return pod
}
