package trial

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/concord-suite/concord/tools/kubeenv/internal/cluster"
)

// databases are the namespace and the account in which the operator of the databases is installed.
const databases, databasesAccount = "cnpg-system", "cnpg-manager"

// databaseLabels are those that the operator puts on its Jobs and their pods, and that anybody may put on anything.
var databaseLabels = map[string]string{"cnpg.io/cluster": "postgres", "cnpg.io/jobRole": "initdb"}

// makers are the kinds that make pods, with what is around the template.
var makers = []struct {
	api, kind string
	spec      func(template map[string]any) map[string]any
}{
	{"apps/v1", "Deployment", selecting},
	{"apps/v1", "ReplicaSet", selecting},
	{"apps/v1", "StatefulSet", selecting},
	{"apps/v1", "DaemonSet", selecting},
	{"v1", "ReplicationController", func(template map[string]any) map[string]any { return map[string]any{"template": template} }},
	{"batch/v1", "Job", once},
	{"batch/v1", "CronJob", func(template map[string]any) map[string]any {
		return map[string]any{"schedule": "0 0 * * *", "jobTemplate": map[string]any{"spec": once(template)}}
	}},
}

func selecting(template map[string]any) map[string]any {
	return map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": "sample"}}, "template": template}
}

func once(template map[string]any) map[string]any {
	template["spec"].(map[string]any)["restartPolicy"] = "Never"
	return map[string]any{"template": template}
}

// maker is an object of a kind that makes the sample pod, with labels on both.
func maker(api, kind string, spec func(template map[string]any) map[string]any, labels map[string]string, change func(pod, container map[string]any)) *unstructured.Unstructured {
	pod := podWith(change)
	all := map[string]any{"app": "sample"}
	for name, value := range labels {
		all[name] = value
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": api, "kind": kind, "metadata": map[string]any{"name": "sample", "namespace": namespace},
		"spec": spec(map[string]any{"metadata": map[string]any{"labels": all}, "spec": pod.Object["spec"]}),
	}}
	object.SetLabels(labels)
	return object
}

// makersRefused shows that whoever applies is told of an image by tag, and that no label helps.
func (t *Trial) makersRefused(ctx context.Context) {
	for _, m := range makers {
		t.mustRefuse(ctx, "an image by tag in a "+m.kind, byDigest, maker(m.api, m.kind, m.spec, databaseLabels, tagged))
		if err := t.Cluster.Try(ctx, maker(m.api, m.kind, m.spec, nil, nil)); err != nil {
			t.Report.Fail("refused", "a %s with a digest is refused as well: %s", m.kind, cluster.Reason(err))
		}
	}
	pod := podWith(tagged)
	pod.SetLabels(databaseLabels)
	t.mustRefuse(ctx, "an image by tag in a pod with the databases' labels", byDigest, pod)
}

// operator shows that the operator of the databases may start its pods, whose images have tags, itself and by its Jobs, and that
// nobody else may change what they run.
func (t *Trial) operator(ctx context.Context) error {
	// What its installation gives it, and more.
	_, err := t.Cluster.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: databases},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: databases, Name: databasesAccount}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	operator, err := t.Cluster.As(databases, databasesAccount)
	if err != nil {
		return err
	}
	// The server takes a moment to know of a right.
	pod, job := podWith(tagged), maker("batch/v1", "Job", once, databaseLabels, tagged)
	err = cluster.Await(ctx, settleLimit, func(ctx context.Context) (string, error) {
		if err := operator.Try(ctx, pod); err != nil {
			return "the operator's pod to be admitted: " + cluster.Reason(err), nil
		}
		return "", nil
	})
	if err != nil {
		t.Report.Fail("operator", "%v", err)
		return nil
	}
	if _, _, err := operator.Apply(ctx, job); err != nil {
		t.Report.Fail("operator", "its Job is refused: %s", cluster.Reason(err))
		return nil
	}
	if err := t.jobOfOperator(ctx); err != nil {
		t.Report.Fail("operator", "%v%s", err, t.events(ctx))
	}
	// Its pod goes with it. The first set is cleaned of whatever is left.
	return t.Cluster.Delete(ctx, job)
}

// jobOfOperator waits for the pod of the operator's Job and tries to change it as the administrator.
func (t *Trial) jobOfOperator(ctx context.Context) error {
	pods := t.Cluster.CoreV1().Pods(namespace)
	var made *corev1.Pod
	err := cluster.Await(ctx, settleLimit, func(ctx context.Context) (string, error) {
		list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "cnpg.io/jobRole"})
		if err != nil || len(list.Items) == 0 {
			return "the pod of its Job", err
		}
		made = &list.Items[0]
		return "", nil
	})
	if err != nil {
		return err
	}
	patch := func(body string, subresources ...string) error {
		_, err := pods.Patch(ctx, made.Name, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, subresources...)
		return err
	}
	if err := patch(`{"metadata":{"labels":{"note":"new"}}}`); err != nil {
		return fmt.Errorf("a label of its pod can't be changed: %s", cluster.Reason(err))
	}
	if err := patch(`{"spec":{"containers":[{"name":"concord","image":"registry.example/other:1"}]}}`); err == nil || !isFor(err, byDigest) {
		return fmt.Errorf("another image by tag is put into its pod: %v", err)
	}
	debug := `{"spec":{"ephemeralContainers":[{"name":"debug","image":"registry.example/shell:1","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}`
	if err := patch(debug, "ephemeralcontainers"); err == nil || !isFor(err, byDigest) {
		return fmt.Errorf("a container for debugging by tag is put into its pod: %v", err)
	}
	t.Report.Line("no", "the operator of the databases with an image by tag, by its account: a pod, a Job and its pod; others can't change the image")
	return nil
}
