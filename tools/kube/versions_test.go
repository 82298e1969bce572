package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/concord-suite/concord/tools/kube/manifest"
)

// ofKubernetes are Kubernetes' own kinds as k8s.io/api has them in the version of go.mod, v0.32: older than the oldest Kubernetes that
// docs/deploying.md promises, so that a field of a later one is not among them.
var ofKubernetes = map[string]func() any{
	"v1/ConfigMap":                           func() any { return &corev1.ConfigMap{} },
	"v1/Namespace":                           func() any { return &corev1.Namespace{} },
	"v1/PersistentVolumeClaim":               func() any { return &corev1.PersistentVolumeClaim{} },
	"v1/Service":                             func() any { return &corev1.Service{} },
	"v1/ServiceAccount":                      func() any { return &corev1.ServiceAccount{} },
	"apps/v1/Deployment":                     func() any { return &appsv1.Deployment{} },
	"apps/v1/StatefulSet":                    func() any { return &appsv1.StatefulSet{} },
	"batch/v1/Job":                           func() any { return &batchv1.Job{} },
	"autoscaling/v2/HorizontalPodAutoscaler": func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"networking.k8s.io/v1/Ingress":           func() any { return &networkingv1.Ingress{} },
	"networking.k8s.io/v1/NetworkPolicy":     func() any { return &networkingv1.NetworkPolicy{} },
	"policy/v1/PodDisruptionBudget":          func() any { return &policyv1.PodDisruptionBudget{} },
	"scheduling.k8s.io/v1/PriorityClass":     func() any { return &schedulingv1.PriorityClass{} },
	"admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy":        func() any { return &admissionv1.ValidatingAdmissionPolicy{} },
	"admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding": func() any { return &admissionv1.ValidatingAdmissionPolicyBinding{} },
}

func TestX4_NothingIsNewerThanTheOldestKubernetes(t *testing.T) {
	known := func(s *manifest.Set) []string {
		var lines []string
		for _, o := range s.Objects {
			group, _, _ := strings.Cut(o.APIVersion(), "/")
			into, found := ofKubernetes[o.APIVersion()+"/"+o.Kind()]
			if !found {
				if custom := strings.Contains(group, ".") && !strings.HasSuffix(group, ".k8s.io") || group == "gateway.networking.k8s.io"; !custom {
					lines = append(lines, o.ID()+": not among the kinds of "+o.APIVersion())
				}
				continue
			}
			data, err := json.Marshal(o)
			require.NoError(t, err)
			decoder := json.NewDecoder(bytes.NewReader(data))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(into()); err != nil {
				lines = append(lines, fmt.Sprintf("%s: %v", o.ID(), err))
			}
		}
		return lines
	}
	holds(t, known)
	fields := map[string]any{"apiVersion": "batch/v1", "kind": "Unheard", "metadata": map[string]any{"name": "x"}}
	reports(t, known,
		mistake{"Deployment/auth", inPod("hostnameOverride"), "auth", "hostnameOverride"}, // of 1.34
		mistake{"Unheard/x", nil, fields, "not among the kinds"},
	)
}
