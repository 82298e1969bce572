package cluster

import (
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Same tells whether an apply left an object as it was. What controllers write between two looks does not count: the
// status, the version that changes with it, and the revision a Deployment is given.
func Same(before, after *unstructured.Unstructured) bool {
	if before.GetResourceVersion() == after.GetResourceVersion() {
		return true
	}
	return reflect.DeepEqual(applied(before), applied(after))
}

// applied is the part of an object that people apply.
func applied(object *unstructured.Unstructured) map[string]any {
	o := object.DeepCopy()
	unstructured.RemoveNestedField(o.Object, "status")
	unstructured.RemoveNestedField(o.Object, "metadata", "resourceVersion")
	unstructured.RemoveNestedField(o.Object, "metadata", "managedFields")
	annotations := o.GetAnnotations()
	delete(annotations, "deployment.kubernetes.io/revision")
	if len(annotations) == 0 {
		annotations = nil
	}
	o.SetAnnotations(annotations)
	return o.Object
}
