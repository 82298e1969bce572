package cluster

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Await asks until done says yes, at most for limit. done returns what it still waits for, "" for nothing; that is the
// error when the time is over.
func Await(ctx context.Context, limit time.Duration, done func(context.Context) (waitsFor string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last := "the first answer"
	for {
		waitsFor, err := done(ctx)
		switch {
		case ctx.Err() != nil: // an error of done is then of our making
		case err != nil:
			return err
		case waitsFor == "":
			return nil
		default:
			last = waitsFor
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if context.Cause(ctx) != context.DeadlineExceeded {
				return context.Cause(ctx)
			}
			return fmt.Errorf("after %s still waiting for %s", limit, last)
		}
	}
}

// definitions is where custom resources are defined.
var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// AwaitEstablished waits until the API server serves the kind that a definition defines.
func (c *Cluster) AwaitEstablished(ctx context.Context, name string) error {
	err := Await(ctx, 2*time.Minute, func(ctx context.Context) (string, error) {
		definition, err := c.dynamic.Resource(definitions).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		conditions, _, _ := unstructured.NestedSlice(definition.Object, "status", "conditions")
		for _, condition := range conditions {
			if c, _ := condition.(map[string]any); c["type"] == "Established" && c["status"] == "True" {
				return "", nil
			}
		}
		return "the API server to serve it", nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
