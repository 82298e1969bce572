package trial

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/concord-suite/concord/tools/kubeenv/internal/cluster"
	"github.com/concord-suite/concord/tools/kubeenv/internal/stage"
)

// unrunnable copies objects as a release whose images can't be run, and whose failure is told after seconds.
func unrunnable(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	bad := rebuilt(objects, "-unrunnable", func(string) string { return "@" + stage.Unrunnable })
	return edit(bad, func(object map[string]any) {
		if spec, ok := object["spec"].(map[string]any); ok && spec["progressDeadlineSeconds"] != nil {
			spec["progressDeadlineSeconds"] = int64(5)
		}
	})
}

// failed applies a release that can't be run: the pods and Jobs of the release before stay as they are, and are what there is when
// it is undone, as docs/deploying.md says.
func (t *Trial) failed(ctx context.Context, name string, next []*unstructured.Unstructured) error {
	guard, err := t.guard(ctx)
	if err != nil {
		return err
	}
	before, err := t.workloads(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := t.put(ctx, name, unrunnable(next)); err != nil {
		return err
	}
	if err := cluster.Await(ctx, rolloutLimit, t.givenUp); err != nil {
		t.Report.Fail(name, "a release that can't be run: %v%s", err, t.events(ctx))
	}
	after, err := t.workloads(ctx)
	if err != nil {
		return err
	}
	var undo, waiting []string
	for i, d := range after.deployments {
		undo = append(undo, "deployment/"+d.Name)
		if got, want := d.Status.AvailableReplicas, before.deployments[i].Status.AvailableReplicas; got != want {
			t.Report.Fail(name, "a release that can't be run: %d of %d pods of %s are left", got, want, d.Name)
		}
	}
	for i, s := range after.statefulSets {
		undo = append(undo, "statefulset/"+s.Name)
		if got, want := s.Status.AvailableReplicas, before.statefulSets[i].Status.AvailableReplicas-1; got != want {
			t.Report.Fail(name, "a release that can't be run: %d pods of %s are left, not %d", got, s.Name, want)
		}
	}
	for _, j := range after.jobs {
		if !complete(j) {
			waiting = append(waiting, "job/"+j.Name)
		}
	}
	if len(after.jobs)-len(waiting) != len(before.jobs) {
		t.Report.Fail(name, "a release that can't be run: %d Jobs of before are complete, not %d", len(after.jobs)-len(waiting), len(before.jobs))
	}
	t.Report.Line("no release", "given up after %s; all pods of %d Deployments serve, all but one of the bus, %d Jobs of before are complete, %d wait",
		round(start), len(after.deployments), len(before.jobs), len(waiting))
	for _, broken := range guard.end(deploymentsShort) {
		t.Report.Fail(name, "a release that can't be run: %s", broken)
	}
	return t.undo(ctx, name, undo, waiting, next)
}

// undo takes workloads back by kubectl, removes the Jobs that can't end, and applies the release that comes after.
func (t *Trial) undo(ctx context.Context, name string, workloads, jobs []string, next []*unstructured.Unstructured) error {
	start := time.Now()
	if output, err := t.Kubectl(ctx, append([]string{"-n", namespace, "rollout", "undo"}, workloads...)...); err != nil {
		t.Report.Fail(name, "undo: %v\n%s", err, output)
	}
	if output, err := t.Kubectl(ctx, append([]string{"-n", namespace, "delete"}, jobs...)...); err != nil {
		t.Report.Fail(name, "undo: %v\n%s", err, output)
	}
	t.rollout(ctx, name, "undone", start)
	if err := t.runs(ctx, next); err != nil {
		t.Report.Fail(name, "undo: %v", err)
	}
	// What kubectl put back is kubectl's, and the API server would refuse to change it by an apply; once it has to be taken.
	if err := t.take(ctx, name, release(next)); err != nil {
		return err
	}
	t.rollout(ctx, name, "mended", start)
	if err := t.runs(ctx, release(next)); err != nil {
		t.Report.Fail(name, "the release after: %v", err)
	}
	return t.put(ctx, name, next)
}

// runs compares the images of workloads with those of objects.
func (t *Trial) runs(ctx context.Context, objects []*unstructured.Unstructured) error {
	w, err := t.workloads(ctx)
	if err != nil {
		return err
	}
	images := map[string]string{}
	for _, d := range w.deployments {
		images["Deployment/"+d.Name] = d.Spec.Template.Spec.Containers[0].Image
	}
	for _, s := range w.statefulSets {
		images["StatefulSet/"+s.Name] = s.Spec.Template.Spec.Containers[0].Image
	}
	for _, o := range objects {
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		if image := images[cluster.ID(o)]; image != "" && image != containers[0].(map[string]any)["image"] {
			return fmt.Errorf("%s runs %s", cluster.ID(o), image)
		}
	}
	return nil
}

// givenUp waits until every Deployment says that its rollout has failed, and every StatefulSet waits for a pod.
func (t *Trial) givenUp(ctx context.Context) (string, error) {
	w, err := t.workloads(ctx)
	if err != nil {
		return "", err
	}
	for _, d := range w.deployments {
		if d.Status.ObservedGeneration < d.Generation || !overdue(d) {
			return fmt.Sprintf("Deployment/%s to be given up", d.Name), nil
		}
	}
	for _, s := range w.statefulSets {
		if s.Status.ObservedGeneration < s.Generation || s.Status.UpdatedReplicas != 1 || s.Status.AvailableReplicas == *s.Spec.Replicas {
			return fmt.Sprintf("StatefulSet/%s to replace one pod", s.Name), nil
		}
	}
	return "", nil
}

func overdue(d appsv1.Deployment) bool {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded" {
			return true
		}
	}
	return false
}

// migrations selects the Jobs of every release.
const migrations = "app.kubernetes.io/component=migration"

// stands shows that a Job which was made stays as it is: a component that changes it between releases is refused.
func (t *Trial) stands(ctx context.Context, name string, objects []*unstructured.Unstructured) {
	other := edit(objects, func(object map[string]any) {
		if object["kind"] == "Job" {
			pod, _, _ := unstructured.NestedFieldNoCopy(object, "spec", "template", "spec")
			spec := pod.(map[string]any)
			volumes, _ := spec["volumes"].([]any)
			spec["volumes"] = append(volumes, map[string]any{"name": "more", "emptyDir": map[string]any{}})
		}
	})
	refused := 0
	for _, object := range other {
		if object.GetKind() != "Job" {
			continue
		}
		if err := t.Cluster.Try(ctx, object); err == nil || !isFor(err, "field is immutable") {
			t.Report.Fail(name, "%s: another volume is not refused: %v", cluster.ID(object), err)
		} else {
			refused++
		}
	}
	t.Report.Line("no", "%d Jobs with a volume more", refused)
}

// anew wants every Job of before to be gone, and as many others to be there.
func (t *Trial) anew(ctx context.Context, name string, before []batchv1.Job, objects []*unstructured.Unstructured) error {
	w, err := t.workloads(ctx)
	if err != nil {
		return err
	}
	wanted := 0
	for _, object := range objects {
		if object.GetKind() == "Job" {
			wanted++
		}
	}
	if len(w.jobs) != wanted {
		t.Report.Fail(name, "stop, start: %d Jobs, not %d", len(w.jobs), wanted)
	}
	for _, job := range w.jobs {
		if slices.ContainsFunc(before, func(old batchv1.Job) bool { return old.UID == job.UID }) {
			t.Report.Fail(name, "stop, start: Job/%s was not made again, so nothing makes streams and schema", job.Name)
		}
	}
	return nil
}

// restored stops all parts as for a restore and starts them again, as docs/deploying.md says: an autoscaler leaves alone what has no
// pods, in both directions, and an apply the Jobs that have run, which a bus that was emptied and a database of another day need again.
func (t *Trial) restored(ctx context.Context, name string, next []*unstructured.Unstructured) error {
	w, err := t.workloads(ctx)
	if err != nil {
		return err
	}
	start, pods := time.Now(), "1"
	for _, d := range w.deployments {
		if *d.Spec.Replicas > 1 {
			pods = "2"
		}
	}
	scale := func(replicas string) {
		if output, err := t.Kubectl(ctx, "-n", namespace, "scale", "deployment", "--all", "--replicas="+replicas); err != nil {
			t.Report.Fail(name, "stop: %v\n%s", err, output)
		}
	}
	scale("0")
	err = cluster.Await(ctx, rolloutLimit, func(ctx context.Context) (string, error) {
		list, err := t.Cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=service"})
		if err != nil || len(list.Items) == 0 {
			return "", err
		}
		return fmt.Sprintf("the end of %d pods", len(list.Items)), nil
	})
	if err != nil {
		t.Report.Fail(name, "stop: %v", err)
	}
	t.stands(ctx, name, next)
	if output, err := t.Kubectl(ctx, "-n", namespace, "delete", "job", "-l", migrations); err != nil {
		t.Report.Fail(name, "stop: %v\n%s", err, output)
	}
	scale(pods)
	if err := t.take(ctx, name, next); err != nil {
		return err
	}
	t.rollout(ctx, name, "stop, start", start)
	if err := t.anew(ctx, name, w.jobs, next); err != nil {
		return err
	}
	return t.again(ctx, name, "again", next)
}

// servers gives each StatefulSet of several pods two more and takes them away: volumes stay, and are found again.
func (t *Trial) servers(ctx context.Context, name string, next []*unstructured.Unstructured) error {
	w, err := t.workloads(ctx)
	if err != nil {
		return err
	}
	for _, s := range w.statefulSets {
		if *s.Spec.Replicas < 2 {
			continue
		}
		start := time.Now()
		for _, disk := range moreDisks(name, s.Name) {
			if _, err := t.Cluster.CoreV1().PersistentVolumes().Create(ctx, disk, metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		var claims []int
		for _, count := range []int32{*s.Spec.Replicas + 2, *s.Spec.Replicas, *s.Spec.Replicas + 2, *s.Spec.Replicas} {
			if output, err := t.Kubectl(ctx, "-n", namespace, "scale", "statefulset", s.Name, fmt.Sprintf("--replicas=%d", count)); err != nil {
				t.Report.Fail(name, "servers: %v\n%s", err, output)
			}
			if err := cluster.Await(ctx, rolloutLimit, t.backAgain); err != nil {
				t.Report.Fail(name, "servers: %d of %s: %v%s", count, s.Name, err, t.events(ctx))
			}
			list, err := t.Cluster.CoreV1().PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(s.Spec.Selector)})
			if err != nil {
				return err
			}
			claims = append(claims, len(list.Items))
		}
		text := strings.Trim(strings.ReplaceAll(fmt.Sprint(claims), " ", ", "), "[]")
		for _, count := range claims {
			if count != int(*s.Spec.Replicas)+2 {
				t.Report.Fail(name, "servers: %s has %s volumes: one was removed with its pod", s.Name, text)
			}
		}
		t.Report.Line("servers", "%s: two more, two fewer, twice; volumes: %s; in %s", s.Name, text, round(start))
	}
	return t.again(ctx, name, "again", next)
}
