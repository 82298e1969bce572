// Package trial applies the renderings of deploy/k8s to a real API server and moves what they ask for around on nodes
// that kwok plays: a pod there is ready as soon as it is scheduled, and nothing runs in it. What is tried is what the
// control plane decides: what it admits, who owns which field, where pods go, who may be evicted.
package trial

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/concord-suite/concord/tools/kubeenv/internal/cluster"
	"github.com/concord-suite/concord/tools/kubeenv/internal/render"
)

// namespace is where the suite lives in every rendering.
const namespace = "concord"

// policy is the file with the admission policy for images, below deploy/k8s.
const policy = "components/admission/digests.yaml"

// Trial is one run against one control plane.
type Trial struct {
	// Kubectl runs kubectl as the administrator and returns what it prints.
	Kubectl func(ctx context.Context, args ...string) (string, error)
	Cluster *cluster.Cluster
	Report  *Report
	Root    string       // deploy/k8s, absolute
	Sets    []render.Set // of Root
}

// Run tries everything. What the manifests get wrong goes to the report; an error is something that kept the trial from
// going on.
func (t *Trial) Run(ctx context.Context) error {
	if err := t.prepare(ctx); err != nil {
		return err
	}
	if err := t.refusals(ctx); err != nil {
		return err
	}
	// Without nodes pods are made and admitted but not scheduled, so that everything goes as fast as it came.
	for _, set := range t.Sets {
		if err := t.applied(ctx, set); err != nil {
			return fmt.Errorf("%s: %w", set.Name, err)
		}
	}
	if err := t.addNodes(ctx); err != nil {
		return err
	}
	for _, set := range t.Sets {
		if !strings.HasPrefix(set.Name, "overlays/") {
			continue
		}
		if err := t.moved(ctx, set); err != nil {
			return fmt.Errorf("%s: %w", set.Name, err)
		}
	}
	return nil
}

// prepare installs what a platform has before anybody applies an overlay: the definitions of custom resources, the
// namespace, and the policy.
func (t *Trial) prepare(ctx context.Context) error {
	start := time.Now()
	definitions, err := render.Definitions(t.Root, t.Sets)
	if err != nil {
		return err
	}
	for _, definition := range definitions {
		if _, _, err := t.Cluster.Apply(ctx, definition); err != nil {
			return fmt.Errorf("%s: %w", cluster.ID(definition), err)
		}
	}
	for _, definition := range definitions {
		if err := t.Cluster.AwaitEstablished(ctx, definition.GetName()); err != nil {
			return err
		}
	}
	t.Cluster.Warnings() // of the definitions, which are not ours
	t.Report.Line("definitions", "%d kinds of custom resources installed in %s", len(definitions), round(start))

	policies, err := render.File(filepath.Join(t.Root, policy))
	if err != nil {
		return err
	}
	for _, object := range policies {
		if _, _, err := t.Cluster.Apply(ctx, object); err != nil {
			return fmt.Errorf("%s: %w", cluster.ID(object), err)
		}
	}
	for _, object := range t.Sets[0].Objects {
		if object.GetKind() == "Namespace" && object.GetName() == namespace {
			_, _, err := t.Cluster.Apply(ctx, object)
			return err
		}
	}
	return fmt.Errorf("%s renders no namespace %s", t.Sets[0].Name, namespace)
}

// clean removes what a set put into the namespace, and waits until what the controllers made of it is gone, too.
func (t *Trial) clean(ctx context.Context, set render.Set) error {
	for _, object := range set.Objects {
		if object.GetNamespace() == "" {
			continue // the namespace itself, and what a cluster has once
		}
		if err := t.Cluster.Delete(ctx, object); err != nil {
			return err
		}
	}
	at := t.Cluster.CoreV1()
	now := metav1.DeleteOptions{GracePeriodSeconds: new(int64)}
	return cluster.Await(ctx, settleLimit, func(ctx context.Context) (string, error) {
		sets, err := t.Cluster.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(sets.Items) > 0 {
			return "the end of replica sets", err
		}
		pods, err := at.Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		claims, err := at.PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(pods.Items)+len(claims.Items) == 0 {
			return "", err
		}
		// Pods of a job are left when it goes before its controller has seen them; claims are kept on purpose.
		if err := at.Pods(namespace).DeleteCollection(ctx, now, metav1.ListOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return "", err
		}
		if len(pods.Items) == 0 {
			err = at.PersistentVolumeClaims(namespace).DeleteCollection(ctx, now, metav1.ListOptions{})
		}
		return fmt.Sprintf("the end of %d pods and %d claims", len(pods.Items), len(claims.Items)), err
	})
}

// round is how long something took, as people say it.
func round(start time.Time) time.Duration {
	return time.Since(start).Round(100 * time.Millisecond)
}
