package trial

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"regexp"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/concord-suite/concord/tools/kubeenv/internal/cluster"
	"github.com/concord-suite/concord/tools/kubeenv/internal/render"
)

// rolloutLimit bounds one rollout. With pods that are ready at once it takes seconds; but a budget that has missed the end of a pod,
// on a machine that has ten times its work, counts it as evicted for two minutes.
const rolloutLimit = 5 * time.Minute

// moved rolls a set out on nodes and then does to it what happens in its life: an apply after the migrations, the next
// release, nodes that are emptied one by one, more pods and fewer.
func (t *Trial) moved(ctx context.Context, set render.Set) error {
	t.Report.Head("%s on nodes (minReadySeconds 1, so that nobody waits for pods in which nothing runs)", set.Name)
	if err := t.addDisks(ctx, path.Base(set.Name)); err != nil {
		return err
	}
	first, next := impatient(set.Objects), release(impatient(set.Objects))

	start := time.Now()
	if err := t.put(ctx, set.Name, first); err != nil {
		return err
	}
	t.rollout(ctx, set.Name, "rollout", start)
	if err := t.again(ctx, set.Name, "again", first); err != nil {
		return err
	}
	for _, step := range []func(context.Context, string, []*unstructured.Unstructured) error{t.update, t.drain, t.budgets, t.scale, t.servers, t.failed, t.restored} {
		if err := step(ctx, set.Name, next); err != nil {
			return err
		}
	}
	for _, objects := range [][]*unstructured.Unstructured{first, next, unrunnable(next), release(next)} {
		if err := t.clean(ctx, render.Set{Objects: objects}); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// rollout waits until everything is there and says how long that took. It reports whether it is.
func (t *Trial) rollout(ctx context.Context, name, what string, start time.Time) bool {
	if err := cluster.Await(ctx, rolloutLimit, t.rolledOut); err != nil {
		t.Report.Fail(name, "%s: %v%s", what, err, t.events(ctx))
		return false
	}
	w, err := t.workloads(ctx)
	if err != nil {
		t.Report.Fail(name, "%s: %v", what, err)
		return false
	}
	var pods int32
	for _, d := range w.deployments {
		pods += d.Status.AvailableReplicas
	}
	for _, s := range w.statefulSets {
		pods += s.Status.AvailableReplicas
	}
	t.Report.Line(what, "%d Deployments and %d StatefulSets with %d pods available, %d Jobs complete, after %s",
		len(w.deployments), len(w.statefulSets), pods, len(w.jobs), round(start))
	return true
}

// update applies the next release and watches that nothing is ever short of pods.
func (t *Trial) update(ctx context.Context, name string, next []*unstructured.Unstructured) error {
	guard, err := t.guard(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := t.put(ctx, name, next); err != nil {
		return err
	}
	if t.rollout(ctx, name, "update", start) {
		t.spread(ctx, name, "update")
	}
	for _, broken := range guard.end(deploymentsShort) {
		t.Report.Fail(name, "update: %s", broken)
	}
	return nil
}

// impatient copies objects and takes the pauses out of their rollouts.
func impatient(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	return edit(objects, func(object map[string]any) {
		if spec, ok := object["spec"].(map[string]any); ok && spec["minReadySeconds"] != nil {
			spec["minReadySeconds"] = int64(1)
		}
	})
}

var digest = regexp.MustCompile(`@sha256:[0-9a-f]{64}$`)

// release copies objects as the next release would have them: other images, and jobs of other names, since a job can't
// be changed.
func release(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	return rebuilt(objects, "-next", func(image string) string {
		other := sha256.Sum256([]byte(image))
		return "@sha256:" + hex.EncodeToString(other[:])
	})
}

// rebuilt copies objects with other digests and with names of jobs that end in suffix.
func rebuilt(objects []*unstructured.Unstructured, suffix string, other func(image string) (digest string)) []*unstructured.Unstructured {
	return edit(objects, func(object map[string]any) {
		if object["kind"] == "Job" {
			metadata := object["metadata"].(map[string]any)
			metadata["name"] = metadata["name"].(string) + suffix
		}
		template, _, _ := unstructured.NestedFieldNoCopy(object, "spec", "template", "spec", "containers")
		containers, _ := template.([]any)
		for _, c := range containers {
			container, _ := c.(map[string]any)
			if image, ok := container["image"].(string); ok {
				container["image"] = digest.ReplaceAllString(image, other(image))
			}
		}
	})
}

func edit(objects []*unstructured.Unstructured, change func(object map[string]any)) []*unstructured.Unstructured {
	var edited []*unstructured.Unstructured
	for _, object := range objects {
		copied := object.DeepCopy()
		change(copied.Object)
		edited = append(edited, copied)
	}
	return edited
}
