package kube

import (
	"testing"

	"github.com/concord-suite/concord/tools/kube/rule"
)

func TestW1_NamespaceAdmitsRestrictedPodsOnly(t *testing.T) {
	holds(t, rule.Namespace)
	labels := func(key string) []any { return at("metadata", "labels", "pod-security.kubernetes.io/"+key) }
	reports(t, rule.Namespace,
		mistake{"Namespace/concord", labels("enforce"), "baseline", "enforce is"},
		mistake{"Namespace/concord", labels("enforce-version"), "latest", "enforce-version"},
		mistake{"Namespace/concord", labels("audit"), gone, "audit is"},
		mistake{"Deployment/auth", at("metadata", "namespace"), "default", "in namespace"},
		mistake{"Namespace/concord", nil, gone, "want the namespace"},
	)
}

func TestW2_PodsAreRestrictedFieldByField(t *testing.T) {
	holds(t, rule.SecurityContext)
	reports(t, rule.SecurityContext,
		mistake{"Deployment/auth", inPod("securityContext"), gone, "no securityContext"},
		mistake{"Deployment/auth", inPod("securityContext", "runAsNonRoot"), false, "runAsNonRoot"},
		mistake{"Deployment/auth", inPod("securityContext", "runAsUser"), 1000, "runAsUser"},
		mistake{"Deployment/auth", inPod("securityContext", "runAsGroup"), gone, "runAsGroup"},
		mistake{"Deployment/auth", inPod("securityContext", "fsGroup"), gone, "fsGroup"},
		mistake{"Deployment/auth", inPod("securityContext", "seccompProfile", "type"), "Unconfined", "seccompProfile"},
		mistake{"Deployment/auth", inPod("hostNetwork"), true, "namespace of the host"},
		mistake{"Deployment/auth", inPod("volumes", -1), map[string]any{"name": "x", "hostPath": map[string]any{"path": "/"}}, "hostPath"},
		mistake{"Deployment/auth", inMain("securityContext"), gone, "no securityContext"},
		mistake{"Deployment/auth", inMain("securityContext", "runAsUser"), 0, "runAsUser"},
		mistake{"Deployment/auth", inMain("securityContext", "runAsNonRoot"), false, "runAsNonRoot"},
		mistake{"Deployment/auth", inMain("securityContext", "allowPrivilegeEscalation"), gone, "allowPrivilegeEscalation"},
		mistake{"Deployment/auth", inMain("securityContext", "privileged"), true, "privileged"},
		mistake{"Deployment/auth", inMain("securityContext", "procMount"), "Unmasked", "procMount"},
		mistake{"Deployment/auth", inMain("securityContext", "capabilities", "drop"), []string{"NET_RAW"}, "capabilities"},
		mistake{"Deployment/auth", inMain("securityContext", "capabilities", "add"), []string{"NET_BIND_SERVICE"}, "capabilities"},
		mistake{"Deployment/auth", inMain("ports", 0, "hostPort"), 9090, "hostPort"},
		mistake{"StatefulSet/nats", inMain("securityContext", "capabilities"), gone, "capabilities"},
	)
}

func TestW3_RootIsReadOnlyAndScratchIsBounded(t *testing.T) {
	holds(t, rule.ReadOnlyRoot)
	reports(t, rule.ReadOnlyRoot,
		mistake{"Deployment/gateway", inMain("securityContext", "readOnlyRootFilesystem"), gone, "readOnlyRootFilesystem"},
		mistake{"Deployment/gateway", inPod("volumes", -1), map[string]any{"name": "x", "emptyDir": map[string]any{}}, "sizeLimit"},
		mistake{"Deployment/gateway", inMain("volumeMounts", -1), map[string]any{"name": "trust", "mountPath": "/x"}, "not mounted read-only"},
	)
	const bucket = "tests/s3"
	reportsIn(t, bucket, rule.ReadOnlyRoot,
		mistake{"Deployment/documents", inMain("env", -1), variable("CONCORD_DOCUMENTS_S3_SPOOL_DIR", "/tmp"), "no volume holds more than the 1GiB"},
		mistake{"Deployment/documents", inMain("env", -1), variable("CONCORD_DOCUMENTS_S3_SPOOL", "2GiB"), "no volume holds more than the 2GiB"},
	)
}

func TestW4_NoPodCanTalkToTheAPIServer(t *testing.T) {
	holds(t, rule.NoAPIAccess)
	token := map[string]any{"name": "x", "projected": map[string]any{"sources": []any{map[string]any{"serviceAccountToken": map[string]any{"path": "t"}}}}}
	role := map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": map[string]any{"name": "x"}}
	reports(t, rule.NoAPIAccess,
		mistake{"Deployment/sync", inPod("automountServiceAccountToken"), gone, "automountServiceAccountToken"},
		mistake{"Deployment/sync", inPod("enableServiceLinks"), true, "enableServiceLinks"},
		mistake{"Deployment/sync", inPod("serviceAccountName"), "auth", "shares ServiceAccount"},
		mistake{"Deployment/sync", inPod("serviceAccountName"), gone, "there is no ServiceAccount"},
		mistake{"Deployment/sync", inPod("volumes", -1), token, "token of the service account"},
		mistake{"ServiceAccount/sync", at("automountServiceAccountToken"), true, "automountServiceAccountToken"},
		mistake{"Role/x", nil, role, "gives rights"},
	)
}

func TestW6_StandardLabelsAreOnObjectsAndPods(t *testing.T) {
	holds(t, rule.Labels)
	reports(t, rule.Labels,
		mistake{"Service/auth", at("metadata", "labels", "app.kubernetes.io/part-of"), gone, "Service/auth"},
		mistake{"Deployment/auth", at("spec", "template", "metadata", "labels", "app.kubernetes.io/component"), "x", "Deployment/auth"},
	)
}
