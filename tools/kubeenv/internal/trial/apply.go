package trial

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/concord-suite/concord/tools/kubeenv/internal/cluster"
	"github.com/concord-suite/concord/tools/kubeenv/internal/render"
)

// settleLimit bounds how long controllers take to make pods of what was applied; without nodes it is a second, on a machine that has
// ten times its work many.
const settleLimit = 2 * time.Minute

// applied applies a set twice, the first time as people do (kubectl apply -k), asks kubectl for the difference, and
// removes it.
func (t *Trial) applied(ctx context.Context, set render.Set) error {
	start := time.Now()
	t.Report.Head("%s: %s", set.Name, byKind(set.Objects))
	output, err := t.Kubectl(ctx, "apply", "--server-side", "-k", set.Dir)
	if err != nil {
		t.Report.Fail(set.Name, "%v", err)
	}
	for line := range strings.Lines(output) {
		if text, ok := strings.CutPrefix(line, "Warning: "); ok {
			t.Report.Fail(set.Name, "the API server warns: %s", strings.TrimSpace(text))
		}
	}
	t.Report.Line("apply", "%d of %d objects accepted in %s", strings.Count(output, "serverside-applied"), len(set.Objects), round(start))

	if err := cluster.Await(ctx, settleLimit, t.podsMade); err != nil {
		t.Report.Fail(set.Name, "%v%s", err, t.events(ctx))
	}
	if err := t.again(ctx, set.Name, "apply again", set.Objects); err != nil {
		return err
	}
	start = time.Now()
	if output, err = t.Kubectl(ctx, "diff", "--server-side", "-k", set.Dir); err != nil {
		t.Report.Fail(set.Name, "kubectl diff is not empty: %v\n%s", err, output)
	} else {
		t.Report.Line("diff", "empty, asked in %s%s", round(start), output)
	}
	start = time.Now()
	err = t.clean(ctx, set)
	t.Report.Line("removed", "in %s", round(start))
	return err
}

// again applies objects that are there and says which are not as they were before.
func (t *Trial) again(ctx context.Context, name, what string, objects []*unstructured.Unstructured) error {
	start, unchanged := time.Now(), 0
	for _, object := range objects {
		before, after, err := t.Cluster.Apply(ctx, object)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			t.Report.Fail(name, "%s: %s: refused: %s", what, cluster.ID(object), cluster.Reason(err))
		case before == nil:
			t.Report.Fail(name, "%s: %s was gone", what, cluster.ID(object))
		case !cluster.Same(before, after):
			t.Report.Fail(name, "%s: %s is not what it was", what, cluster.ID(object))
		default:
			unchanged++
		}
	}
	for _, warning := range t.Cluster.Warnings() {
		t.Report.Fail(name, "%s: the API server warns: %s", what, warning)
	}
	t.Report.Line(what, "%d of %d objects unchanged in %s", unchanged, len(objects), round(start))
	return nil
}

// put applies objects that may or may not be there. What is refused is a failure.
func (t *Trial) put(ctx context.Context, name string, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		if _, _, err := t.Cluster.Apply(ctx, object); ctx.Err() != nil {
			return context.Cause(ctx)
		} else if err != nil {
			t.Report.Fail(name, "%s: refused: %s", cluster.ID(object), cluster.Reason(err))
		}
	}
	t.Cluster.Warnings() // the same as for the first apply
	return nil
}

// take applies objects, and takes from kubectl what it was told by hand.
func (t *Trial) take(ctx context.Context, name string, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		if err := t.Cluster.Take(ctx, object); ctx.Err() != nil {
			return context.Cause(ctx)
		} else if err != nil {
			t.Report.Fail(name, "%s: refused: %s", cluster.ID(object), cluster.Reason(err))
		}
	}
	t.Cluster.Warnings() // the same as for the first apply
	return nil
}

// events are the latest complaints of controllers and scheduler, each once.
func (t *Trial) events(ctx context.Context) string {
	list, err := t.Cluster.CoreV1().Events(namespace).List(ctx, listWarnings)
	if err != nil {
		return ""
	}
	slices.SortFunc(list.Items, func(a, b corev1.Event) int { return when(b).Compare(when(a)) })
	seen := map[string]bool{}
	var text strings.Builder
	for _, event := range list.Items {
		if len(seen) < 5 && !seen[event.Message] {
			seen[event.Message] = true
			fmt.Fprintf(&text, "\n      %s/%s: %s", event.InvolvedObject.Kind, event.InvolvedObject.Name, event.Message)
		}
	}
	return text.String()
}

// when is the time an event was last seen; of three fields, each source fills its own.
func when(event corev1.Event) time.Time {
	latest := event.CreationTimestamp.Time
	for _, other := range []time.Time{event.LastTimestamp.Time, event.EventTime.Time} {
		if other.After(latest) {
			latest = other
		}
	}
	return latest
}
