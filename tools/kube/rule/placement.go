package rule

import (
	"cmp"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/concord-suite/concord/tools/kube/manifest"
)

// goMemory are the shares of the memory limit that Go's own limit must lie between: below, memory is wasted on collecting
// garbage; above, stacks and the runtime's own memory have no room and the kernel kills.
var goMemory = [2]float64{0.80, 0.90}

// Resources (S1): what a pod asks for is what it gets. Memory is bounded by the request, processor time is not: throttling
// would show as latency. The bus alone has a processor limit, equal to its request: its pods are of the guaranteed class.
func Resources(s *manifest.Set) []string {
	var r report
	eachContainer(s, func(w manifest.Workload, c corev1.Container, at string) {
		asked, bound := c.Resources.Requests, c.Resources.Limits
		r.want(!asked.Cpu().IsZero() && !asked.Memory().IsZero(), "%s: no request of cpu and memory", at)
		r.want(!bound.Memory().IsZero() && bound.Memory().Equal(*asked.Memory()), "%s: the memory limit is not the request", at)
		if w.StatefulSet != nil {
			r.want(bound.Cpu().Equal(*asked.Cpu()), "%s: the cpu limit is not the request", at)
		} else {
			r.want(bound.Cpu().IsZero(), "%s: has a cpu limit", at)
		}
		limit, ok := goLimit(s.Env(c).Values["GOMEMLIMIT"])
		if !ok {
			r.add("%s: GOMEMLIMIT is not set", at)
			return
		}
		share := limit / bound.Memory().AsApproximateFloat64()
		r.want(share >= goMemory[0] && share <= goMemory[1], "%s: GOMEMLIMIT is %.0f %% of the memory limit", at, math.Round(share*100))
	})
	return r
}

// goLimit reads GOMEMLIMIT, whose units end in B where Kubernetes' do not.
func goLimit(text string) (float64, bool) {
	quantity, err := resource.ParseQuantity(strings.TrimSuffix(text, "B"))
	return quantity.AsApproximateFloat64(), err == nil && !quantity.IsZero()
}

// Disruption (S2): every workload that serves has exactly one budget, which lets one pod go at a time, and those that are not
// ready always.
func Disruption(s *manifest.Set) []string {
	var r report
	for _, w := range s.Workloads {
		found := 0
		for _, b := range s.Budgets {
			if selects(b.Spec.Selector, w.Template.Labels) {
				found++
			}
		}
		r.want(w.Serves() == (found == 1), "%s: %d PodDisruptionBudgets", w.ID(), found)
	}
	for _, b := range s.Budgets {
		max := b.Spec.MaxUnavailable
		r.want(b.Spec.MinAvailable == nil && max != nil && *max == intstr.FromInt32(1), "PodDisruptionBudget/%s: maxUnavailable is not 1", b.Name)
		r.want(is(b.Spec.UnhealthyPodEvictionPolicy, "AlwaysAllow"), "PodDisruptionBudget/%s: unhealthyPodEvictionPolicy", b.Name)
		used := slices.ContainsFunc(s.Workloads, func(w manifest.Workload) bool { return selects(b.Spec.Selector, w.Template.Labels) })
		r.want(used, "PodDisruptionBudget/%s: protects nothing", b.Name)
	}
	return r
}

// minReady is how long a new pod must be ready before an old one goes: an answer of the cluster's DNS may be that old.
const minReady = 30

// Bounds of progressDeadlineSeconds: a new pod may wait for its certificate, its database and its schema, and nobody should watch a
// rollout for an hour that goes nowhere.
const minProgress, maxProgress = 600, 3600

// Rollout (S3): a new revision never has fewer pods ready than the old one, and is given up visibly.
func Rollout(s *manifest.Set) []string {
	var r report
	for _, w := range s.Workloads {
		if d := w.Deployment; d != nil {
			update := d.Spec.Strategy.RollingUpdate
			none, one := intstr.FromInt32(0), intstr.FromInt32(1)
			slow := update != nil && update.MaxUnavailable != nil && *update.MaxUnavailable == none && update.MaxSurge != nil && *update.MaxSurge == one
			r.want(slow, "%s: rollingUpdate is not one more and none fewer", w.ID())
			r.want(d.Spec.MinReadySeconds >= minReady, "%s: minReadySeconds", w.ID())
			deadline := d.Spec.ProgressDeadlineSeconds
			r.want(deadline != nil && *deadline >= minProgress && *deadline <= maxProgress, "%s: progressDeadlineSeconds", w.ID())
			r.want(d.Spec.RevisionHistoryLimit != nil && *d.Spec.RevisionHistoryLimit > 0, "%s: revisionHistoryLimit", w.ID())
			r.want(!d.Spec.Paused, "%s: is paused", w.ID())
		}
		if st := w.StatefulSet; st != nil {
			update := st.Spec.UpdateStrategy
			r.want(update.Type != "OnDelete" && (update.RollingUpdate == nil || update.RollingUpdate.Partition == nil), "%s: updateStrategy leaves pods out", w.ID())
			// The first server is ready when the second is there, and a server that fails must not keep others from coming back.
			r.want(st.Spec.PodManagementPolicy == "Parallel", "%s: podManagementPolicy", w.ID())
			r.want(st.Spec.MinReadySeconds > 0, "%s: minReadySeconds", w.ID())
			r.want(st.Spec.RevisionHistoryLimit != nil && *st.Spec.RevisionHistoryLimit > 0, "%s: revisionHistoryLimit", w.ID())
		}
	}
	return r
}

// Spread (S4, S5): the pods of one revision never share a node, even while they are replaced, and a cordoned node is none.
func Spread(s *manifest.Set) []string {
	var r report
	for _, w := range s.Workloads {
		if !w.Serves() {
			continue
		}
		hard := map[string]bool{}
		for _, c := range w.Pod().TopologySpreadConstraints {
			hard[c.TopologyKey] = c.WhenUnsatisfiable == corev1.DoNotSchedule
			r.want(c.MaxSkew == 1, "%s: %s: maxSkew", w.ID(), c.TopologyKey)
			r.want(is(c.NodeTaintsPolicy, corev1.NodeInclusionPolicyHonor), "%s: %s: nodeTaintsPolicy is not Honor", w.ID(), c.TopologyKey)
			r.want(selects(c.LabelSelector, w.Template.Labels), "%s: %s: does not count its own pods", w.ID(), c.TopologyKey)
			// A Deployment's new pods come beside the old ones, which must not count. A StatefulSet's come when the old one has left
			// its place; if only pods of the revision counted, a server might be put beside one of the old.
			revision := slices.Contains(c.MatchLabelKeys, "pod-template-hash") || slices.Contains(c.MatchLabelKeys, "controller-revision-hash")
			r.want(revision == (w.Deployment != nil), "%s: %s: counts the pods of one revision: %t", w.ID(), c.TopologyKey, revision)
			r.want(alone(s, w, c), "%s: %s: counts pods of other workloads", w.ID(), c.TopologyKey)
		}
		r.want(hard[corev1.LabelHostname], "%s: may put two pods on one node", w.ID())
		_, zones := hard[corev1.LabelTopologyZone]
		r.want(zones, "%s: does not spread over zones", w.ID())
	}
	return r
}

// alone tells whether a constraint counts the pods of its own workload only.
func alone(s *manifest.Set, w manifest.Workload, c corev1.TopologySpreadConstraint) bool {
	return !slices.ContainsFunc(s.Workloads, func(other manifest.Workload) bool {
		if other.ID() == w.ID() || !selects(c.LabelSelector, other.Template.Labels) {
			return false
		}
		// The hash of a revision is not in the manifest, and pods of a Job have none: it does not tell workloads apart.
		return !slices.ContainsFunc(c.MatchLabelKeys, func(key string) bool { return w.Template.Labels[key] != other.Template.Labels[key] })
	})
}

// several tells whether a rendering is one that outlives a node: some workload has more than one pod.
func several(s *manifest.Set) bool {
	return slices.ContainsFunc(s.Workloads, func(w manifest.Workload) bool { return w.Serves() && (w.Replicas == nil || *w.Replicas > 1) })
}

// Priority (S7): either all pods have a priority or none, and its class is there.
func Priority(s *manifest.Set) []string {
	var r report
	classes := s.Of("PriorityClass")
	for _, w := range s.Workloads {
		name := w.Pod().PriorityClassName
		r.want(name == "" || s.Has("PriorityClass", name), "%s: there is no PriorityClass %s", w.ID(), name)
		r.want(len(classes) == 0 || name != "", "%s: has no priority, and others have", w.ID())
	}
	return r
}

// Autoscaling (S6): the number of pods has one owner. Who scales says how fast, and keeps at least two.
func Autoscaling(s *manifest.Set) []string {
	var r report
	owners := map[string][]string{}
	for _, h := range s.Autoscalers {
		target := h.Spec.ScaleTargetRef
		owners[target.Kind+"/"+target.Name] = append(owners[target.Kind+"/"+target.Name], "HorizontalPodAutoscaler/"+h.Name)
		r.want(h.Spec.Behavior != nil && h.Spec.Behavior.ScaleDown != nil, "HorizontalPodAutoscaler/%s: behavior", h.Name)
		r.want(h.Spec.MinReplicas != nil && *h.Spec.MinReplicas >= 2, "HorizontalPodAutoscaler/%s: minReplicas", h.Name)
		r.want(len(h.Spec.Metrics) > 0, "HorizontalPodAutoscaler/%s: metrics", h.Name)
		r.want(h.Spec.MinReplicas == nil || h.Spec.MaxReplicas > *h.Spec.MinReplicas, "HorizontalPodAutoscaler/%s: maxReplicas leaves no room", h.Name)
		r.want(target.APIVersion == "apps/v1", "HorizontalPodAutoscaler/%s: scales %s of %q", h.Name, target.Kind, target.APIVersion)
	}
	for _, w := range s.Workloads {
		if !w.Serves() {
			continue
		}
		r.want(w.Replicas == nil || *w.Replicas > 1 || !several(s) && *w.Replicas == 1, "%s: %d pods where others have more", w.ID(), *cmp.Or(w.Replicas, new(int32)))
		r.want(len(owners[w.ID()]) <= 1, "%s: is scaled by %v", w.ID(), owners[w.ID()])
		owned := len(owners[w.ID()]) > 0
		r.want(owned == (w.Replicas == nil), "%s: replicas in the manifest: %t, scaled by somebody: %t", w.ID(), w.Replicas != nil, owned)
		delete(owners, w.ID())
	}
	for target, by := range owners {
		r.add("%v: scales %s, which is not there", by, target)
	}
	return r
}
