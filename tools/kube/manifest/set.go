// Package manifest renders the kustomizations of deploy/k8s and gives what they render as typed objects.
//
// A Set is one rendering. Its objects can be asked for what they say about each other: the pods of a workload, the
// settings of a container, the file behind a mounted path. Nothing here judges; package rule does.
package manifest

import (
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// Object is one object of a rendering as the YAML has it: maps, slices, strings, float64 and bool.
type Object map[string]any

// Set is one rendering. The typed slices are views of Objects; Edit gives a changed copy of all of it.
type Set struct {
	Name    string // path of the kustomization below deploy/k8s: "overlays/production"
	Objects []Object

	Workloads       []Workload
	Services        []corev1.Service
	ConfigMaps      []corev1.ConfigMap
	Secrets         []corev1.Secret
	ServiceAccounts []corev1.ServiceAccount
	Namespaces      []corev1.Namespace
	Policies        []networkingv1.NetworkPolicy
	Ingresses       []networkingv1.Ingress
	Budgets         []policyv1.PodDisruptionBudget
	Autoscalers     []autoscalingv2.HorizontalPodAutoscaler
}

// newSet decodes the objects that have a view.
func newSet(name string, objects []Object) (*Set, error) {
	s := &Set{Name: name, Objects: objects}
	for _, o := range objects {
		if err := s.view(o); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, o.ID(), err)
		}
	}
	return s, nil
}

// view decodes one object into the slice of its kind.
func (s *Set) view(o Object) error {
	switch o.Kind() {
	case "Deployment":
		return addWorkload(s, o, func(d *appsv1.Deployment) Workload {
			return Workload{Meta: d.ObjectMeta, Template: d.Spec.Template, Selector: d.Spec.Selector, Replicas: d.Spec.Replicas, Deployment: d}
		})
	case "StatefulSet":
		return addWorkload(s, o, func(d *appsv1.StatefulSet) Workload {
			return Workload{Meta: d.ObjectMeta, Template: d.Spec.Template, Selector: d.Spec.Selector, Replicas: d.Spec.Replicas, StatefulSet: d}
		})
	case "Job":
		return addWorkload(s, o, func(d *batchv1.Job) Workload {
			return Workload{Meta: d.ObjectMeta, Template: d.Spec.Template, Selector: d.Spec.Selector, Job: d}
		})
	case "Service":
		return add(o, &s.Services)
	case "ConfigMap":
		return add(o, &s.ConfigMaps)
	case "Secret":
		return add(o, &s.Secrets)
	case "ServiceAccount":
		return add(o, &s.ServiceAccounts)
	case "Namespace":
		return add(o, &s.Namespaces)
	case "NetworkPolicy":
		return add(o, &s.Policies)
	case "Ingress":
		return add(o, &s.Ingresses)
	case "PodDisruptionBudget":
		return add(o, &s.Budgets)
	case "HorizontalPodAutoscaler":
		return add(o, &s.Autoscalers)
	case "Pod", "DaemonSet", "CronJob", "ReplicaSet", "ReplicationController":
		return fmt.Errorf("no rule looks at a %s yet: teach package manifest first", o.Kind())
	}
	return nil
}

func add[T any](o Object, to *[]T) error {
	var typed T
	if err := o.Decode(&typed); err != nil {
		return err
	}
	*to = append(*to, typed)
	return nil
}

func addWorkload[T any](s *Set, o Object, workload func(*T) Workload) error {
	var typed T
	if err := o.Decode(&typed); err != nil {
		return err
	}
	w := workload(&typed)
	w.Kind = o.Kind()
	s.Workloads = append(s.Workloads, w)
	return nil
}

// Decode reads the object into a typed one. Fields that the type does not know are an error of the schema check, not of this.
func (o Object) Decode(into any) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// Kind is the kind of the object.
func (o Object) Kind() string { return o.text("kind") }

// APIVersion is its group and version, "apps/v1".
func (o Object) APIVersion() string { return o.text("apiVersion") }

// Name is its name.
func (o Object) Name() string { return o.text("metadata", "name") }

// Namespace is its namespace, empty for what belongs to the cluster.
func (o Object) Namespace() string { return o.text("metadata", "namespace") }

// ID is the object's kind and name, as kubectl takes it: "Deployment/auth".
func (o Object) ID() string { return o.Kind() + "/" + o.Name() }

// At returns what stands at a path of map keys (string) and indexes (int), nil when nothing does.
func (o Object) At(path ...any) any {
	var at any = map[string]any(o)
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := at.(map[string]any)
			at = m[step]
		case int:
			list, _ := at.([]any)
			if step >= len(list) {
				return nil
			}
			at = list[step]
		}
	}
	return at
}

func (o Object) text(path ...any) string {
	text, _ := o.At(path...).(string)
	return text
}

// Of returns the objects of a kind.
func (s *Set) Of(kind string) []Object {
	var found []Object
	for _, o := range s.Objects {
		if o.Kind() == kind {
			found = append(found, o)
		}
	}
	return found
}

// Has tells whether there is an object of that kind and name.
func (s *Set) Has(kind, name string) bool {
	return slices.ContainsFunc(s.Objects, func(o Object) bool { return o.Kind() == kind && o.Name() == name })
}
