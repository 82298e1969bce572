package trial

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// listWarnings selects the events that say that something does not work.
var listWarnings = metav1.ListOptions{FieldSelector: "type=Warning"}

// workloads is what runs pods in the namespace, at one moment.
type workloads struct {
	deployments  []appsv1.Deployment
	statefulSets []appsv1.StatefulSet
	jobs         []batchv1.Job
	least        map[string]int32 // of Deployments that an autoscaler has: how many pods it wants at least
}

func (t *Trial) workloads(ctx context.Context) (*workloads, error) {
	deployments, err := t.Cluster.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	statefulSets, err := t.Cluster.AppsV1().StatefulSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	jobs, err := t.Cluster.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	autoscalers, err := t.Cluster.AutoscalingV2().HorizontalPodAutoscalers(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	w := &workloads{deployments: deployments.Items, statefulSets: statefulSets.Items, jobs: jobs.Items, least: map[string]int32{}}
	for _, a := range autoscalers.Items {
		if a.Spec.ScaleTargetRef.Kind == "Deployment" {
			w.least[a.Spec.ScaleTargetRef.Name] = *a.Spec.MinReplicas
		}
	}
	return w, nil
}

// unscaled names a Deployment whose autoscaler has not given it its least number of pods yet.
func (w *workloads) unscaled() string {
	for _, d := range w.deployments {
		if *d.Spec.Replicas < w.least[d.Name] {
			return fmt.Sprintf("the autoscaler to give %s %d pods instead of %d", d.Name, w.least[d.Name], *d.Spec.Replicas)
		}
	}
	return ""
}

// podsMade waits until every workload has been given its pods, running or not.
func (t *Trial) podsMade(ctx context.Context) (string, error) {
	w, err := t.workloads(ctx)
	if err != nil {
		return "", err
	}
	if waits := w.unscaled(); waits != "" {
		return waits, nil
	}
	for _, d := range w.deployments {
		if d.Status.ObservedGeneration < d.Generation || d.Status.Replicas < *d.Spec.Replicas {
			return fmt.Sprintf("Deployment/%s to have %d pods, it has %d", d.Name, *d.Spec.Replicas, d.Status.Replicas), nil
		}
	}
	for _, s := range w.statefulSets {
		if s.Status.ObservedGeneration < s.Generation || s.Status.Replicas < *s.Spec.Replicas {
			return fmt.Sprintf("StatefulSet/%s to have %d pods, it has %d", s.Name, *s.Spec.Replicas, s.Status.Replicas), nil
		}
	}
	for _, j := range w.jobs {
		if j.Status.Active == 0 && !complete(j) {
			return fmt.Sprintf("Job/%s to have a pod", j.Name), nil
		}
	}
	return "", nil
}

// rolledOut waits until every workload has all its pods, of the latest revision and available, and every job is done.
func (t *Trial) rolledOut(ctx context.Context) (string, error) {
	if waits, err := t.serving(ctx); waits != "" || err != nil {
		return waits, err
	}
	w, err := t.workloads(ctx)
	if err != nil {
		return "", err
	}
	for _, j := range w.jobs {
		if !complete(j) {
			return fmt.Sprintf("Job/%s to complete", j.Name), nil
		}
	}
	return "", nil
}

// serving waits for the same, whatever the jobs do.
func (t *Trial) serving(ctx context.Context) (string, error) {
	w, err := t.workloads(ctx)
	if err != nil {
		return "", err
	}
	if waits := w.unscaled(); waits != "" {
		return waits, nil
	}
	for _, d := range w.deployments {
		want, s := *d.Spec.Replicas, d.Status
		if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != want || s.Replicas != want || s.AvailableReplicas != want {
			return fmt.Sprintf("Deployment/%s: %d pods wanted, %d there, %d of the latest revision, %d available",
				d.Name, want, s.Replicas, s.UpdatedReplicas, s.AvailableReplicas), nil
		}
	}
	for _, d := range w.statefulSets {
		want, s := *d.Spec.Replicas, d.Status
		if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != want || s.Replicas != want || s.AvailableReplicas != want {
			return fmt.Sprintf("StatefulSet/%s: %d pods wanted, %d there, %d of the latest revision, %d available",
				d.Name, want, s.Replicas, s.UpdatedReplicas, s.AvailableReplicas), nil
		}
	}
	return "", nil
}

func complete(job batchv1.Job) bool {
	for _, c := range job.Status.Conditions {
		if c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
