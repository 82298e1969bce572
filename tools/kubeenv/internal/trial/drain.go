package trial

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/concord-suite/concord/tools/kubeenv/internal/cluster"
)

// drain empties one node after the other with kubectl, as an upgrade of the nodes does. Each time everything has to find
// a place while the node is closed, and no budget may be broken.
func (t *Trial) drain(ctx context.Context, name string, _ []*unstructured.Unstructured) error {
	guard, err := t.guard(ctx)
	if err != nil {
		return err
	}
	if err := cluster.Await(ctx, rolloutLimit, t.backAgain); err != nil {
		t.Report.Fail(name, "drain: before: %v", err)
	}
	start, evicted, drained := time.Now(), 0, 0
	nodes, err := t.Cluster.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, node := range nodes.Items {
		output, err := t.Kubectl(ctx, "drain", node.Name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout="+rolloutLimit.String())
		evicted += strings.Count(output, " evicted")
		if err != nil {
			t.Report.Fail(name, "drain of %s: %v", node.Name, err)
		} else if err := cluster.Await(ctx, rolloutLimit, t.backAgain); err != nil {
			t.Report.Fail(name, "drain of %s: with the node closed: %v%s", node.Name, err, t.events(ctx))
		} else {
			drained++
		}
		if err := t.cordon(ctx, node.Name, false); err != nil {
			return err
		}
	}
	t.Report.Line("drain", "%d of %d nodes, %d pods evicted, everything back each time, in %s", drained, len(nodes.Items), evicted, round(start))
	t.spread(ctx, name, "drain")
	for _, broken := range guard.end(budgetsBroken) {
		t.Report.Fail(name, "drain: %s", broken)
	}
	return context.Cause(ctx)
}

// backAgain waits until everything is rolled out and every budget has seen it: kubectl, told to wait by one, comes back
// five seconds later.
func (t *Trial) backAgain(ctx context.Context) (string, error) {
	if waits, err := t.rolledOut(ctx); waits != "" || err != nil {
		return waits, err
	}
	budgets, err := t.Cluster.PolicyV1().PodDisruptionBudgets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for _, b := range budgets.Items {
		if b.Status.ExpectedPods > 0 && b.Status.DisruptionsAllowed == 0 {
			return fmt.Sprintf("PodDisruptionBudget/%s to allow an eviction (%d of %d pods healthy, evicted lately: %v)",
				b.Name, b.Status.CurrentHealthy, b.Status.ExpectedPods, slices.Sorted(maps.Keys(b.Status.DisruptedPods))), nil
		}
	}
	return "", nil
}

// cordon closes a node to new pods, or opens it.
func (t *Trial) cordon(ctx context.Context, node string, closed bool) error {
	patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, closed)
	_, err := t.Cluster.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// budgets shows that each budget refuses the second pod of two: with every node closed, nothing replaces the first.
func (t *Trial) budgets(ctx context.Context, name string, _ []*unstructured.Unstructured) error {
	nodes, err := t.Cluster.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	list, err := t.Cluster.PolicyV1().PodDisruptionBudgets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	start := time.Now()
	for _, node := range nodes.Items {
		if err := t.cordon(ctx, node.Name, true); err != nil {
			return err
		}
	}
	var held, alone []string
	for _, budget := range list.Items {
		pods, err := t.podsOf(ctx, budget)
		switch {
		case err != nil:
			return err
		case len(pods) < 2:
			alone = append(alone, budget.Name)
		default:
			if t.secondRefused(ctx, name, budget.Name, pods) {
				held = append(held, budget.Name)
			}
		}
	}
	for _, node := range nodes.Items {
		if err := t.cordon(ctx, node.Name, false); err != nil {
			return err
		}
	}
	if err := cluster.Await(ctx, rolloutLimit, t.backAgain); err != nil {
		t.Report.Fail(name, "budgets: with the nodes open again: %v%s", err, t.events(ctx))
	}
	text := "no workload has two pods"
	if len(held) > 0 {
		text = "a second eviction refused for " + strings.Join(held, ", ")
	}
	if len(alone) > 0 {
		text += "; a single pod, which may always go: " + strings.Join(alone, ", ")
	}
	t.Report.Line("budgets", "%s; in %s", text, round(start))
	return context.Cause(ctx)
}

// podsOf are the pods that a budget protects and that are ready.
func (t *Trial) podsOf(ctx context.Context, budget policyv1.PodDisruptionBudget) ([]corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil || selector.String() == labels.Everything().String() {
		return nil, fmt.Errorf("PodDisruptionBudget/%s selects everything: %w", budget.Name, err)
	}
	pods, err := t.Cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, err
	}
	var ready []corev1.Pod
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
			ready = append(ready, pod)
		}
	}
	return ready, nil
}

func (t *Trial) secondRefused(ctx context.Context, name, budget string, pods []corev1.Pod) bool {
	evict := func(pod corev1.Pod) error {
		return t.Cluster.PolicyV1().Evictions(namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: namespace}})
	}
	if err := evict(pods[0]); err != nil {
		t.Report.Fail(name, "budgets: the first eviction is refused for %s: %s", budget, cluster.Reason(err))
		return false
	}
	if err := evict(pods[1]); !apierrors.IsTooManyRequests(err) {
		t.Report.Fail(name, "budgets: the second eviction is not refused for %s (%v)", budget, err)
		return false
	}
	return true
}
