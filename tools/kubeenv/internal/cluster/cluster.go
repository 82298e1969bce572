// Package cluster speaks to an API server as somebody does who applies manifests: objects of any kind, server-side
// apply, and words for what went wrong.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// Manager owns the fields of what is applied: the name that kubectl apply --server-side uses, since its users and this
// trial are to be the same to the API server.
const Manager = "kubectl"

// Cluster is an API server and its administrator.
type Cluster struct {
	kubernetes.Interface
	dynamic  dynamic.Interface
	mapper   *restmapper.DeferredDiscoveryRESTMapper
	warnings *warnings
	config   *rest.Config
}

// Connect makes a Cluster of a client's configuration.
func Connect(config *rest.Config) (*Cluster, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // a person waits
	w := &warnings{}
	config.WarningHandler = w
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	typed, err := kubernetes.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	untyped, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(typed.Discovery()))
	return &Cluster{Interface: typed, dynamic: untyped, mapper: mapper, warnings: w, config: config}, nil
}

// As is the same server, asked in the name of a service account.
func (c *Cluster) As(namespace, account string) (*Cluster, error) {
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + account,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	return Connect(config)
}

// Warnings returns what the API server has warned of since it was last asked, each warning once.
func (c *Cluster) Warnings() []string { return c.warnings.take() }

// resource finds where objects of the object's kind are kept.
func (c *Cluster) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) { // defined since the server was last asked
		c.mapper.Reset()
		mapping, err = c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace()), nil
}

// Apply is a server-side apply that takes no field from another manager. It returns the object before, nil when it was
// not there, and after. Fields the server does not know are errors.
func (c *Cluster) Apply(ctx context.Context, object *unstructured.Unstructured) (before, after *unstructured.Unstructured, err error) {
	resource, err := c.resource(object)
	if err != nil {
		return nil, nil, err
	}
	before, err = resource.Get(ctx, object.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		before = nil
	} else if err != nil {
		return nil, nil, err
	}
	after, err = patch(ctx, resource, object, metav1.PatchOptions{})
	return before, after, err
}

// Take is an Apply that takes from other managers what the object says: kubectl apply --server-side --force-conflicts.
func (c *Cluster) Take(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := c.resource(object)
	if err != nil {
		return err
	}
	force := true
	_, err = patch(ctx, resource, object, metav1.PatchOptions{Force: &force})
	return err
}

// Try asks what Apply would answer, changing nothing.
func (c *Cluster) Try(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := c.resource(object)
	if err != nil {
		return err
	}
	_, err = patch(ctx, resource, object, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

func patch(ctx context.Context, resource dynamic.ResourceInterface, object *unstructured.Unstructured, how metav1.PatchOptions) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	how.FieldManager, how.FieldValidation = Manager, metav1.FieldValidationStrict
	return resource.Patch(ctx, object.GetName(), types.ApplyPatchType, body, how)
}

// Delete deletes the object and what it owns. That it is gone already is as good.
func (c *Cluster) Delete(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := c.resource(object)
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	err = resource.Delete(ctx, object.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Reason is what the API server said, without what a client adds.
func Reason(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Message
	}
	return err.Error()
}

// ID names an object as people do: "Deployment/auth".
func ID(object *unstructured.Unstructured) string {
	return fmt.Sprintf("%s/%s", object.GetKind(), object.GetName())
}

// warnings gathers the warnings of answers.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader is called for each warning of an answer.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if text != "" && !slices.Contains(w.texts, text) {
		w.texts = append(w.texts, text)
	}
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := w.texts
	w.texts = nil
	return texts
}
