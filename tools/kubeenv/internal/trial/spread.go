package trial

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// spread checks where the pods of each workload are: no node and no zone may have more of them than its constraints
// allow, once old revisions are gone. What is only wished for (ScheduleAnyway) and not met is printed.
func (t *Trial) spread(ctx context.Context, name, after string) {
	nodes, err := t.Cluster.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Report.Fail(name, "%v", err)
		return
	}
	pods, err := t.Cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Report.Fail(name, "%v", err)
		return
	}
	groups := map[string][]corev1.Pod{}
	for _, pod := range pods.Items {
		if owner := metav1.GetControllerOf(&pod); owner != nil && owner.Kind != "Job" && pod.DeletionTimestamp == nil {
			groups[owner.Name] = append(groups[owner.Name], pod)
		}
	}
	failed, wished := false, ""
	for _, owner := range slices.Sorted(maps.Keys(groups)) {
		for _, constraint := range groups[owner][0].Spec.TopologySpreadConstraints {
			skewed := skew(groups[owner], nodes.Items, constraint)
			switch {
			case skewed == "":
			case constraint.WhenUnsatisfiable == corev1.ScheduleAnyway:
				wished += "; not as wished: " + owner + ", " + skewed
			default:
				failed = true
				t.Report.Fail(name, "after the %s %s: %s", after, owner, skewed)
			}
		}
	}
	if !failed {
		t.Report.Line("spread", "%d workloads over nodes and zones as their constraints ask%s", len(groups), wished)
	}
}

// skew says how pods of one revision break a constraint, "" when they do not.
func skew(pods []corev1.Pod, nodes []corev1.Node, constraint corev1.TopologySpreadConstraint) string {
	count, domain := map[string]int{}, map[string]string{}
	for _, node := range nodes {
		domain[node.Name] = node.Labels[constraint.TopologyKey]
		if !node.Spec.Unschedulable {
			count[domain[node.Name]] += 0
		}
	}
	for _, pod := range pods {
		count[domain[pod.Spec.NodeName]]++
	}
	counts := slices.Collect(maps.Values(count))
	if len(counts) == 0 || slices.Max(counts)-slices.Min(counts) <= int(constraint.MaxSkew) {
		return ""
	}
	var where []string
	for _, place := range slices.Sorted(maps.Keys(count)) {
		where = append(where, fmt.Sprintf("%s %d", place, count[place]))
	}
	return fmt.Sprintf("pods by %s differ by more than %d: %s", constraint.TopologyKey, constraint.MaxSkew, strings.Join(where, ", "))
}
