package trial

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
)

// What a guard looks for.
const (
	deploymentsShort = "Deployment"          // fewer pods available than asked for
	budgetsBroken    = "PodDisruptionBudget" // fewer pods healthy than promised
)

// guard watches Deployments and budgets while something happens to them.
type guard struct {
	watches []watch.Interface
	done    sync.WaitGroup
	mu      sync.Mutex
	broken  map[string]map[string]string // by kind and name, the worst that was seen
}

// guard begins to watch. It sees each state that the API server has stored, however short.
func (t *Trial) guard(ctx context.Context) (*guard, error) {
	deployments, err := t.Cluster.AppsV1().Deployments(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	budgets, err := t.Cluster.PolicyV1().PodDisruptionBudgets(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		deployments.Stop()
		return nil, err
	}
	g := &guard{watches: []watch.Interface{deployments, budgets}, broken: map[string]map[string]string{
		deploymentsShort: {}, budgetsBroken: {},
	}}
	for _, w := range g.watches {
		g.done.Go(func() {
			for event := range w.ResultChan() {
				g.see(event)
			}
		})
	}
	return g, nil
}

func (g *guard) see(event watch.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch o := event.Object.(type) {
	case *appsv1.Deployment:
		if *o.Spec.Replicas-o.Status.AvailableReplicas > mayLack(o) && event.Type == watch.Modified {
			g.broken[deploymentsShort][o.Name] = fmt.Sprintf("%s had %d of %d pods available", o.Name, o.Status.AvailableReplicas, *o.Spec.Replicas)
		}
	case *policyv1.PodDisruptionBudget:
		if s := o.Status; s.ObservedGeneration == o.Generation && s.CurrentHealthy < s.DesiredHealthy && event.Type == watch.Modified {
			g.broken[budgetsBroken][o.Name] = fmt.Sprintf("the budget of %s had %d of %d healthy pods", o.Name, s.CurrentHealthy, s.DesiredHealthy)
		}
	}
}

// mayLack is how many pods a Deployment may be short of while it is updated, by its own strategy.
func mayLack(d *appsv1.Deployment) int32 {
	replicas := int(*d.Spec.Replicas)
	if d.Spec.Strategy.RollingUpdate == nil {
		return int32(replicas) // old pods end before new ones begin
	}
	lack, err := intstr.GetScaledValueFromIntOrPercent(d.Spec.Strategy.RollingUpdate.MaxUnavailable, replicas, false)
	if err != nil {
		return 0
	}
	return int32(lack)
}

// end stops watching and returns what was seen of one kind.
func (g *guard) end(kind string) []string {
	for _, w := range g.watches {
		w.Stop()
	}
	g.done.Wait()
	return slices.Sorted(maps.Values(g.broken[kind]))
}
