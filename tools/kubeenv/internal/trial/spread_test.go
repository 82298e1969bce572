package trial

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSkew(t *testing.T) {
	nodes := []corev1.Node{*node("a", 1), *node("a", 2), *node("b", 1)}
	byNode := corev1.TopologySpreadConstraint{TopologyKey: corev1.LabelHostname, MaxSkew: 1}
	byZone := corev1.TopologySpreadConstraint{TopologyKey: corev1.LabelTopologyZone, MaxSkew: 1}
	closed := []corev1.Node{nodes[0], nodes[1], *nodes[2].DeepCopy()}
	closed[2].Spec.Unschedulable = true
	for _, c := range []struct {
		name       string
		on         string
		nodes      []corev1.Node
		constraint corev1.TopologySpreadConstraint
		want       string
	}{
		{"one each", "node-a1 node-a2 node-b1", nodes, byNode, ""},
		{"one more is allowed", "node-a1 node-b1", nodes, byNode, ""},
		{"two on a node while another is empty", "node-a1 node-a1 node-b1", nodes, byNode, "node-a1 2, node-a2 0, node-b1 1"},
		{"two of a zone against one", "node-a1 node-a2 node-b1", nodes, byZone, ""},
		{"a zone left out", "node-a1 node-a2", nodes, byZone, "a 2, b 0"},
		{"a closed node is no place", "node-a1 node-a2", closed, byZone, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var pods []corev1.Pod
			for _, place := range strings.Fields(c.on) {
				pods = append(pods, corev1.Pod{Spec: corev1.PodSpec{NodeName: place}, ObjectMeta: metav1.ObjectMeta{Name: "pod"}})
			}
			got := skew(pods, c.nodes, c.constraint)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
