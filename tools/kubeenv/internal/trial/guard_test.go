package trial

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
)

func deployment(name string, replicas, available int32, strategy appsv1.DeploymentStrategy) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Strategy: strategy},
		Status:     appsv1.DeploymentStatus{AvailableReplicas: available},
	}
}

func TestGuardRemembersWhoWasShort(t *testing.T) {
	none, one := intstr.FromInt32(0), intstr.FromInt32(1)
	careful := appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &none}}
	careless := appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &one}}
	recreate := appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "nats"},
		Status:     policyv1.PodDisruptionBudgetStatus{DesiredHealthy: 2, CurrentHealthy: 1},
	}
	g := &guard{broken: map[string]map[string]string{deploymentsShort: {}, budgetsBroken: {}}}
	g.see(watch.Event{Type: watch.Added, Object: deployment("new", 2, 0, careful)})
	g.see(watch.Event{Type: watch.Modified, Object: deployment("auth", 2, 1, careful)})
	g.see(watch.Event{Type: watch.Modified, Object: deployment("auth", 2, 2, careful)})
	g.see(watch.Event{Type: watch.Modified, Object: deployment("sync", 2, 1, careless)})
	g.see(watch.Event{Type: watch.Modified, Object: deployment("documents", 1, 0, recreate)})
	g.see(watch.Event{Type: watch.Modified, Object: budget})
	if got, want := g.end(deploymentsShort), []string{"auth had 1 of 2 pods available"}; !slices.Equal(got, want) {
		t.Errorf("Deployments: got %q, want %q", got, want)
	}
	if got, want := g.end(budgetsBroken), []string{"the budget of nats had 1 of 2 healthy pods"}; !slices.Equal(got, want) {
		t.Errorf("budgets: got %q, want %q", got, want)
	}
}
