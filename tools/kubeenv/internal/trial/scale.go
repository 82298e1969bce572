package trial

import (
	"context"
	"fmt"
	"strings"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// scale gives each Deployment that an autoscaler has two pods more, as that would, applies everything again, and takes
// them away again: the number of pods must be the autoscaler's, not the manifests'.
func (t *Trial) scale(ctx context.Context, name string, next []*unstructured.Unstructured) error {
	w, err := t.workloads(ctx)
	if err != nil {
		return err
	}
	if len(w.least) == 0 {
		t.Report.Line("scale", "nothing is scaled automatically")
		return nil
	}
	start := time.Now()
	var scaled []string
	for _, d := range w.deployments {
		if w.least[d.Name] == 0 {
			continue
		}
		scaled = append(scaled, fmt.Sprintf("%s %d", d.Name, *d.Spec.Replicas+2))
		if err := t.setReplicas(ctx, d.Name, *d.Spec.Replicas+2); err != nil {
			t.Report.Fail(name, "scale: %s: %v", d.Name, err)
		}
	}
	t.rollout(ctx, name, "scale up", start)
	if err := t.again(ctx, name, "again", next); err != nil {
		return err
	}
	after, err := t.workloads(ctx)
	if err != nil {
		return err
	}
	for i, d := range after.deployments {
		if before := w.deployments[i]; w.least[d.Name] > 0 && *d.Spec.Replicas != *before.Spec.Replicas+2 {
			t.Report.Fail(name, "scale: apply made %d pods of %s, the autoscaler had asked for %d", *d.Spec.Replicas, d.Name, *before.Spec.Replicas+2)
		}
	}
	start = time.Now()
	for _, d := range w.deployments {
		if w.least[d.Name] > 0 {
			if err := t.setReplicas(ctx, d.Name, *d.Spec.Replicas); err != nil {
				t.Report.Fail(name, "scale: %s: %v", d.Name, err)
			}
		}
	}
	t.rollout(ctx, name, "scale down", start)
	t.Report.Line("scaled", "%s: kept by apply", strings.Join(scaled, ", "))
	return nil
}

// setReplicas asks for a number of pods the way an autoscaler does.
func (t *Trial) setReplicas(ctx context.Context, deployment string, replicas int32) error {
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: deployment, Namespace: namespace}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	_, err := t.Cluster.AppsV1().Deployments(namespace).UpdateScale(ctx, deployment, scale, metav1.UpdateOptions{FieldManager: "autoscaler"})
	return err
}
