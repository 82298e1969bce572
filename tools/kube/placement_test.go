package kube

import (
	"testing"

	"github.com/concord-suite/concord/tools/kube/rule"
)

func TestS1_RequestsAreLimitsAndGoKnowsThem(t *testing.T) {
	holds(t, rule.Resources)
	reports(t, rule.Resources,
		mistake{"Deployment/auth", inMain("resources"), gone, "no request"},
		mistake{"Deployment/auth", inMain("resources", "limits", "memory"), "2Gi", "memory limit is not the request"},
		mistake{"Deployment/auth", inMain("resources", "limits", "cpu"), "2", "has a cpu limit"},
		mistake{"StatefulSet/nats", inMain("resources", "limits", "cpu"), gone, "cpu limit is not the request"},
		mistake{"Deployment/auth", inMain("env"), gone, "GOMEMLIMIT is not set"},
		mistake{"Deployment/auth", inMain("env", -1), map[string]any{"name": "GOMEMLIMIT", "value": "2GiB"}, "of the memory limit"},
	)
}

func TestS2_OnePodAtATimeIsEvicted(t *testing.T) {
	holds(t, rule.Disruption)
	reports(t, rule.Disruption,
		mistake{"PodDisruptionBudget/auth", nil, gone, "0 PodDisruptionBudgets"},
		mistake{"PodDisruptionBudget/auth", at("spec", "maxUnavailable"), 0, "maxUnavailable"},
		mistake{"PodDisruptionBudget/auth", at("spec", "minAvailable"), 1, "maxUnavailable"},
		mistake{"PodDisruptionBudget/auth", at("spec", "unhealthyPodEvictionPolicy"), gone, "unhealthyPodEvictionPolicy"},
		mistake{"PodDisruptionBudget/auth", at("spec", "selector", "matchLabels", "app.kubernetes.io/name"), "x", "protects nothing"},
		mistake{"PodDisruptionBudget/auth", at("spec", "selector", "matchLabels", "app.kubernetes.io/name"), "sync", "2 PodDisruptionBudgets"},
	)
}

func TestS3_RolloutsNeverHaveFewerPods(t *testing.T) {
	holds(t, rule.Rollout)
	reports(t, rule.Rollout,
		mistake{"Deployment/auth", at("spec", "strategy", "rollingUpdate", "maxUnavailable"), 1, "rollingUpdate"},
		mistake{"Deployment/auth", at("spec", "strategy", "rollingUpdate", "maxSurge"), "25%", "rollingUpdate"},
		mistake{"Deployment/auth", at("spec", "minReadySeconds"), gone, "minReadySeconds"},
		mistake{"Deployment/auth", at("spec", "progressDeadlineSeconds"), gone, "progressDeadlineSeconds"},
		mistake{"Deployment/auth", at("spec", "revisionHistoryLimit"), gone, "revisionHistoryLimit"},
		mistake{"StatefulSet/nats", at("spec", "updateStrategy", "type"), "OnDelete", "updateStrategy"},
		mistake{"Deployment/auth", at("spec", "strategy"), map[string]any{"type": "Recreate"}, "rollingUpdate"},
	)
}

func TestS4_PodsOfOneRevisionAreSpread(t *testing.T) {
	holds(t, rule.Spread)
	first := func(path ...any) []any { return append(inPod("topologySpreadConstraints", 0), path...) }
	reports(t, rule.Spread,
		mistake{"Deployment/auth", inPod("topologySpreadConstraints"), gone, "two pods on one node"},
		mistake{"Deployment/auth", first("whenUnsatisfiable"), "ScheduleAnyway", "two pods on one node"},
		mistake{"Deployment/auth", first("maxSkew"), 2, "maxSkew"},
		mistake{"Deployment/auth", first("matchLabelKeys"), gone, "counts the pods of one revision: false"},
		mistake{"Deployment/auth", first("matchLabelKeys"), []string{"pod-template-hash"}, "pods of other workloads"},
		mistake{"Deployment/auth", first("labelSelector", "matchLabels"), map[string]any{"app.kubernetes.io/name": "x"}, "does not count its own"},
		mistake{"Deployment/auth", inPod("topologySpreadConstraints", 1), gone, "over zones"},
		mistake{"StatefulSet/nats", first("matchLabelKeys"), []string{"controller-revision-hash"}, "StatefulSet/nats: kubernetes.io/hostname: counts the pods of one revision: true"},
	)
}

func TestS5_CordonedNodesAreNoPlace(t *testing.T) {
	holds(t, rule.Spread)
	reports(t, rule.Spread,
		mistake{"Deployment/auth", inPod("topologySpreadConstraints", 0, "nodeTaintsPolicy"), gone, "nodeTaintsPolicy"},
		mistake{"StatefulSet/nats", inPod("topologySpreadConstraints", 0, "nodeTaintsPolicy"), "Ignore", "nodeTaintsPolicy"},
	)
}

func TestS6_TheNumberOfPodsHasOneOwner(t *testing.T) {
	holds(t, rule.Autoscaling)
	second := map[string]any{"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": map[string]any{"name": "second"}, "spec": map[string]any{
		"scaleTargetRef": map[string]any{"kind": "Deployment", "name": "auth"}, "maxReplicas": 3,
	}}
	reports(t, rule.Autoscaling,
		mistake{"Deployment/auth", at("spec", "replicas"), 3, "replicas in the manifest: true, scaled by somebody: true"},
		mistake{"HorizontalPodAutoscaler/auth", nil, gone, "replicas in the manifest: false, scaled by somebody: false"},
		mistake{"HorizontalPodAutoscaler/auth", at("spec", "behavior"), gone, "behavior"},
		mistake{"HorizontalPodAutoscaler/auth", at("spec", "minReplicas"), 1, "minReplicas"},
		mistake{"HorizontalPodAutoscaler/auth", at("spec", "metrics"), gone, "metrics"},
		mistake{"HorizontalPodAutoscaler/auth", at("spec", "scaleTargetRef", "name"), "x", "which is not there"},
		mistake{"HorizontalPodAutoscaler/second", nil, second, "is scaled by"},
	)
}

func TestS7_AllPodsHaveAPriorityOrNone(t *testing.T) {
	holds(t, rule.Priority)
	reports(t, rule.Priority,
		mistake{"Deployment/auth", inPod("priorityClassName"), "x", "there is no PriorityClass x"},
		mistake{"Deployment/auth", inPod("priorityClassName"), gone, "has no priority"},
	)
}
