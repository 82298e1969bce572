package kube

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/rule"
)

// rules are all of them, as the tests of each give them what they ask for; linters are not among them.
func rules(t *testing.T) map[string]rule.Rule {
	t.Helper()
	w := open(t)
	calls, err := rule.Calls(w.programs)
	require.NoError(t, err)
	printed, err := w.programs["auth"].Print("bus", "permissions")
	require.NoError(t, err)
	runbook, err := os.ReadFile(repository + "/docs/runbooks/certificates.md")
	require.NoError(t, err)
	all := map[string]rule.Rule{
		"W1": rule.Namespace, "W2": rule.SecurityContext, "W3": rule.ReadOnlyRoot, "W4": rule.NoAPIAccess, "W5": rule.Images, "W5b": rule.Entrypoints, "W6": rule.Labels,
		"S1": rule.Resources, "S2": rule.Disruption, "S3": rule.Rollout, "S4": rule.Spread, "S6": rule.Autoscaling, "S7": rule.Priority,
		"P1": rule.Health, "P2": rule.Probes, "P4": rule.LameDuck, "N1": rule.Isolation, "N4": rule.Edge, "N6": rule.Services,
		"D1": rule.Secrets, "D1b": rule.Mounts, "D1c": rule.Stores, "D5": rule.Backups, "D6": rule.Volumes, "O1": rule.Monitors, "O1c": rule.Instances,
		"D4":  func(s *manifest.Set) []string { return rule.Accounts(s, printed) },
		"D1d": func(s *manifest.Set) []string { return rule.References(s, page(t)+string(runbook)) },
		"N1b": func(s *manifest.Set) []string { return rule.Pairs(s, rule.Wanted(s, w.programs, calls)) },
	}
	for id, r := range map[string]rule.OfPrograms{
		"P3": rule.Grace, "N1c": rule.Outside, "N2": rule.Balancing, "N6b": rule.Wiring, "N5": rule.Certificates, "D1e": rule.Settings, "D2": rule.Migrations,
		"D3": rule.Databases, "D3b": rule.Tenants, "D4b": rule.Bus, "O1b": rule.Telemetry, "O2": rule.Logs,
	} {
		all[id] = func(s *manifest.Set) []string { return r(s, w.programs) }
	}
	return all
}

// inHBA is a path in the lines that let clients into the databases.
func inHBA(path ...any) []any { return append(at("spec", "postgresql", "pg_hba"), path...) }

// mutations are mistakes that somebody makes, or a merge: the manifests stay such that a cluster takes them. The tests of a rule
// show its own; here each is shown to all of them, and somebody must say what is wrong.
func mutations(t *testing.T) []mistake {
	pod := func(deployment string, value any, path ...any) mistake {
		return mistake{object: "Deployment/" + deployment, path: inPod(path...), value: value}
	}
	main := func(deployment string, value any, path ...any) mistake {
		return mistake{object: "Deployment/" + deployment, path: inMain(path...), value: value}
	}
	set := func(object string, value any, path ...any) mistake {
		return mistake{object: object, path: path, value: value}
	}
	everywhere := map[string]any{"matchExpressions": []any{map[string]any{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": []any{"concord"}}}}
	named := map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": "monitoring"}}
	cidr := func(policy, block string, path ...any) mistake {
		return mistake{object: "NetworkPolicy/" + policy, path: append(at("spec"), append(path, "ipBlock", "cidr")...), value: block}
	}
	return []mistake{
		// What a pod may do.
		pod("auth", map[string]any{"name": "x", "hostPath": map[string]any{"path": "/"}}, "volumes", -1).reported("is a hostPath"),
		pod("auth", []any{0}, "securityContext", "supplementalGroups").reported("supplementalGroups"),
		pod("auth", map[string]any{"type": "Unconfined"}, "securityContext", "appArmorProfile").reported("appArmorProfile"),
		pod("auth", true, "shareProcessNamespace").reported("shareProcessNamespace"),
		pod("auth", true, "automountServiceAccountToken").reported("automountServiceAccountToken"),
		main("auth", false, "securityContext", "readOnlyRootFilesystem").reported("readOnlyRootFilesystem"),
		main("gateway", gone, "volumeMounts", 0).reported("nothing can be written at /tmp"),
		main("auth", []any{"sh", "-c", "sleep 1"}, "command").reported("command takes the place"),
		main("auth", []any{"migrate"}, "args").reported("args [migrate]"),
		main("auth", "ghcr.io/concord-suite/concord/auth:latest", "image").reported("not named by registry and digest"),
		pod("auth", "Default", "dnsPolicy").reported("does not know the parts"),
		pod("auth", []any{map[string]any{"ip": "127.0.0.1", "hostnames": []any{"sync"}}}, "hostAliases").reported("hostAliases"),
		pod("auth", "node-1", "nodeName").reported("past the scheduler"),
		pod("auth", []any{map[string]any{"operator": "Exists"}}, "tolerations").reported("tolerates everything"),

		// How many there are, where, and how they come and go.
		pod("auth", gone, "topologySpreadConstraints", 0).reported("two pods on one node"),
		main("auth", gone, "resources", "requests", "cpu").reported("no request of cpu"),
		set("HorizontalPodAutoscaler/auth", 2, "spec", "maxReplicas").reported("leaves no room"),
		set("HorizontalPodAutoscaler/auth", "apps/v1beta1", "spec", "scaleTargetRef", "apiVersion").reported("scales Deployment of"),
		set("PodDisruptionBudget/auth", 0, "spec", "maxUnavailable").reported("maxUnavailable is not 1"),
		set("Deployment/connector", 1, "spec", "replicas").reported("1 pods where others have more"),
		set("Deployment/sync", 0, "spec", "replicas").reported("0 pods where others have more"),
		set("Deployment/auth", true, "spec", "paused").reported("is paused"),
		set("StatefulSet/nats", map[string]any{"partition": 3}, "spec", "updateStrategy", "rollingUpdate").reported("leaves pods out"),
		set("StatefulSet/nats", "OrderedReady", "spec", "podManagementPolicy").reported("podManagementPolicy"),
		set("StatefulSet/nats", gone, "spec", "minReadySeconds").reported("minReadySeconds"),
		pod("gateway", 30, "terminationGracePeriodSeconds").reported("terminationGracePeriodSeconds is not above"),
		main("gateway", map[string]any{"preStop": map[string]any{"exec": map[string]any{"command": []any{"sleep", "5"}}}}, "lifecycle").reported("lifecycle hooks"),
		main("auth", gone, "readinessProbe", "periodSeconds").reported("readiness probe takes 20s to notice"),
		main("auth", gone, "readinessProbe").reported("no readiness probe"),
		main("auth", 600, "readinessProbe", "initialDelaySeconds").reported("initialDelaySeconds"),
		main("auth", 9, "readinessProbe", "successThreshold").reported("successThreshold"),
		main("auth", 9000, "startupProbe", "failureThreshold").reported("gives up after 5h"),
		main("auth", 3600, "livenessProbe", "periodSeconds").reported("liveness probe kills after 3h"),
		main("auth", 60, "readinessProbe", "timeoutSeconds").reported("readiness probe: timeoutSeconds"),
		set("StatefulSet/nats", 3600, inMain("readinessProbe", "periodSeconds")...).reported("readiness probe takes 3h"),
		set("Deployment/auth", 31, "spec", "progressDeadlineSeconds").reported("progressDeadlineSeconds"),
		set("Deployment/auth", 86400, "spec", "progressDeadlineSeconds").reported("progressDeadlineSeconds"),

		// The network.
		set("NetworkPolicy/sync", gone, "spec", "egress", 1).reported("sync -> auth:grpc: egress open: false, wanted: true"),
		set("NetworkPolicy/auth", gone, "spec", "ingress", 0).reported("gateway -> auth:grpc: ingress open: false, wanted: true"),
		set("NetworkPolicy/auth", 9091, "spec", "ingress", 0, "ports", 0, "port").reported("ingress open: false"),
		set("NetworkPolicy/auth", "UDP", "spec", "ingress", 0, "ports", 0, "protocol").reported("ingress open: false"),
		set("NetworkPolicy/internet", []any{"Ingress"}, "spec", "policyTypes").reported("opens Egress, which is not among its policyTypes"),
		set("NetworkPolicy/default-deny", []any{"Ingress"}, "spec", "policyTypes").reported("no policy closes whatever else"),
		set("NetworkPolicy/dns", "default", "spec", "egress", 0, "to", 0, "namespaceSelector", "matchLabels", "kubernetes.io/metadata.name").reported("Egress 53/UDP the cluster's DNS is closed"),
		set("NetworkPolicy/health", gone, "spec", "ingress", 1).reported("Ingress 8086/TCP addresses is closed"),
		set("NetworkPolicy/health", gone, "spec", "ingress", 0).reported("Ingress 8086/TCP namespaces is closed"),
		set("PodMonitor/concord", gone).reported("auth: Ingress 8086/TCP namespaces is open"),
		set("PodMonitor/postgres", gone).reported("postgres: Ingress 9187/TCP namespaces is open"),
		set("NetworkPolicy/nats", gone, "spec", "ingress", 2).reported("nats: Ingress 8222/TCP addresses is closed"),
		set("NetworkPolicy/nats", map[string]any{"namespaceSelector": named}, "spec", "ingress", 2, "from", -1).reported("nats: Ingress 8222/TCP namespaces is open"),
		set("NetworkPolicy/sync", gone, "spec", "egress", 0).reported("sync: Egress 4317/TCP namespaces is closed"),
		set("NetworkPolicy/gateway-from-ingress", everywhere, "spec", "ingress", 0, "from", 0, "namespaceSelector").reported("for namespaces that it does not name"),
		set("NetworkPolicy/health", everywhere, "spec", "ingress", 0, "from", 0, "namespaceSelector").reported("for namespaces that it does not name"),
		cidr("health", "0.0.0.0/1", "ingress", 1, "from", 0).reported("more than some addresses: 0.0.0.0/1"),
		cidr("dns", "0.0.0.0/1", "egress", 0, "to", 1).reported("more than some addresses: 0.0.0.0/1"),
		cidr("postgres", "10.0.0.0/8", "egress", 1, "to", 0).reported("more than some addresses: 10.0.0.0/8"),
		cidr("postgres", "2000::/3", "egress", 1, "to", 0).reported("more than some addresses: 2000::/3"),
		cidr("postgres", "the API server", "egress", 1, "to", 0).reported("more than some addresses: the API server"),
		set("NetworkPolicy/internet", "documents", "spec", "podSelector", "matchExpressions", 0, "values", -1).reported("documents: Egress 443/TCP the internet is open"),
		main("documents", variable("CONCORD_DOCUMENTS_KEYRING_KMS_FILE", "/etc/concord/secret/keyring_kms"), "env", -1).
			reported("documents: Egress 443/TCP the internet is closed"),
		main("auth", variable("CONCORD_AUTH_OTLP_ENDPOINT", ""), "env", -1).reported("auth: Egress 4317/TCP namespaces is open"),
		set("ObjectStore/postgres-backup", gone).reported("postgres: Egress 443/TCP the internet is open"),
		set("NetworkPolicy/nats", map[string]any{"ipBlock": map[string]any{"cidr": "203.0.113.0/24"}}, "spec", "ingress", 0, "from", -1).reported("nats: Ingress 4222/TCP addresses is open"),
		set("NetworkPolicy/bus", map[string]any{}, "spec", "egress", 0, "to", 0, "podSelector").reported("for all pods of the namespace"),
		set("NetworkPolicy/internet", gone, "spec", "egress", 0, "to", 0, "ipBlock", "except", 2).reported("includes private addresses"),
		set("NetworkPolicy/mail", gone, "spec", "egress", 0, "to", 1, "ipBlock", "except").reported("includes private addresses"),
		set("NetworkPolicy/postgres", map[string]any{}, "spec", "ingress", 3, "from", 0, "namespaceSelector").reported("all pods of the cluster"),
		set("NetworkPolicy/postgres", gone, "spec", "egress", 2).reported("postgres: Egress 443/TCP the internet is closed"),
		set("NetworkPolicy/postgres", gone, "spec", "egress", 1).reported("postgres: Egress 6443/TCP addresses is closed"),
		main("auth", "grcp", "ports", 0, "name").reported("has no port grpc"),
		main("auth", variable("CONCORD_AUTH_GRPC_ADDR", ":9091"), "env", -1).reported("is no port grpc"),
		main("auth", variable("CONCORD_AUTH_GRPC_ADDR", "127.0.0.1:9090"), "env", -1).reported("is no port grpc"),
		main("auth", variable("CONCORD_AUTH_HEALTH_ADDR", ":8087"), "env", -1).reported("is no port health"),
		main("documents", variable("CONCORD_DOCUMENTS_HTTP_ADDR", ":8080"), "env", -1).reported("is no port bytes"),
		main("gateway", variable("CONCORD_GATEWAY_HTTP_ADDR", ""), "env", -1).reported("is no port bytes or http"),
		main("sync", variable("CONCORD_SYNC_NATS_URL", "tls://nats:4223"), "env", -1).reported("no bus speaks TLS at"),
		main("documents", variable("CONCORD_DOCUMENTS_BLOB_DIR", "/var/lib/other"), "env", -1).reported("where no volume is"),
		main("auth", variable("CONCORD_AUTH_PUBLIC_URL", "https://other.example"), "env", -1).reported("people come to"),
		set("Service/sync", gone, "spec", "clusterIP").reported("one address for all its pods"),
		set("Service/gateway", []any{"203.0.113.7"}, "spec", "externalIPs").reported("externalIPs"),
		set("HTTPRoute/gateway", gone, "spec", "parentRefs", 0, "sectionName").reported("other listeners than https"),
		set("HTTPRoute/gateway", gone, "spec", "parentRefs", 0, "namespace").reported("names no Gateway of the platform"),
		set("HTTPRoute/gateway", gone, "spec", "hostnames").reported("for every host"),
		set("HTTPRoute/gateway", gone, "spec", "rules", 0, "timeouts").reported("what lasts is cut"),
		main("gateway", variable("CONCORD_GATEWAY_TRUSTED_PROXIES", "0"), "env", -1).reported("the one proxy"),

		// Who is who.
		set("Certificate/auth", true, "spec", "isCA").reported("may sign others"),
		set("Certificate/auth", "concord-root", "spec", "issuerRef", "name").reported("signs itself"),
		set("Certificate/auth", gone, "spec", "privateKey", "algorithm").reported(`a key of ""`),
		pod("auth", map[string]any{"name": "x", "secret": map[string]any{"secretName": "concord-authority", "defaultMode": 0o440}}, "volumes", -1).reported("has the key of the authority"),
		main("auth", map[string]any{"name": "tls", "mountPath": "/etc/concord/tls/tls.crt", "subPath": "tls.crt", "readOnly": true}, "volumeMounts", -1).reported("is a subPath"),

		// Settings and secrets.
		pod("auth", gone, "volumes", secretOf(t, "auth", "postgres-ca")).reported("which is no volume"),
		pod("auth", gone, "volumes", secretOf(t, "auth", "postgres-ca"), "secret").reported("is of nothing"),
		main("auth", gone, "volumeMounts", 0).reported("is not the authority of"),
		main("sync", variable("CONCORD_SYNC_DRAIN_DELY", "5s"), "env", -1).reported("is no setting of sync"),
		main("sync", variable("CONCORD_SYNC_DATABASE_URL", "postgres://a:b@c/d"), "env", -1).reported("is a secret"),
		main("sync", variable("CONCORD_SYNC_NATS_URL", "tls://sync:word@nats:4222"), "env", -1).reported("an address with a password"),
		main("auth", map[string]any{"name": "X", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "auth-secrets", "key": "keyring"}}}, "env", -1).reported("by the environment"),
		pod("auth", 0o644, "volumes", secretOf(t, "auth", "auth-secrets"), "secret", "defaultMode").reported("with mode 0440"),
		pod("auth", true, "volumes", secretOf(t, "auth", "auth-secrets"), "secret", "optional").reported("is optional"),
		set("ExternalSecret/auth-secrets", "concord/connector", "spec", "dataFrom", 0, "extract", "key").reported("does not take concord/auth alone"),
		set("ExternalSecret/auth-secrets", gone, "spec", "secretStoreRef").reported("of no store"),
		set("ExternalSecret/auth-database", gone, "spec", "target", "template", "metadata").reported("the databases' operator"),
		set("ExternalSecret/auth-database", gone, "spec", "target", "template", "mergePolicy").reported("the databases' operator"),
		set("ExternalSecret/auth-secrets", "0", "spec", "refreshInterval").reported("refreshInterval"),

		// The bus.
		set("Certificate/nats", gone, "spec", "uris").reported("Certificate/nats: uris are"),
		set("Certificate/nats", gone, "spec", "dnsNames", 0).reported("dnsNames lack nats"),
		set("StatefulSet/nats", gone, inMain("env", 0)...).reported("POD_NAME"),
		set("StatefulSet/nats", gone, inMain("ports", 2)...).reported("which is not there"),
		set("StatefulSet/nats", gone, inMain("volumeMounts", 1)...).reported(`can't write "/run/nats/nats.pid"`),
		set("StatefulSet/nats", "ldm=/run/nats.pid", inMain("lifecycle", "preStop", "exec", "command", 2)...).reported("does not signal ldm=/run/nats/nats.pid"),
		set("StatefulSet/nats", []any{"--config", "/etc/nats/conf/nats.conf"}, inMain("args")...).reported("does not follow /etc/nats/tls/tls.crt"),
		set("StatefulSet/nats", []any{"--config", "/etc/nats/conf/nats.conf", "--follow", "/etc/nats/tls/tls.crt", "--follow", "/etc/nats/tls/ca.crt"}, inMain("args")...).
			reported("does not follow /etc/nats/tls/tls.key"),
		set("Service/nats-peers", gone, "spec", "publishNotReadyAddresses").reported("don't find each other"),
		set("Service/nats", gone).reported("no bus speaks TLS at"),

		// What keeps data.
		pod("auth", gone, "volumes", secretOf(t, "auth", "postgres-ca"), "secret", "items").reported("has the key of the databases' authority"),
		set("Cluster/postgres", gone, "spec", "topologySpreadConstraints").reported("does not spread over zones"),
		set("Certificate/concord-authority", gone, "spec", "duration").reported("duration and renewBefore of an authority"),
		set("Certificate/concord-authority", "Always", "spec", "privateKey", "rotationPolicy").reported("keeps its key, or nobody believes"),
		set(jobOf(t, "auth"), gone, "spec", "podFailurePolicy", "rules", 1).reported("takes a drained node for its failure"),
		set(jobOf(t, "auth"), "auth-migrate", "metadata", "name").reported("is not called auth-migrate-"),
		set(jobOf(t, "auth"), 1, "spec", "activeDeadlineSeconds").reported("activeDeadlineSeconds is not between"),
		set(jobOf(t, "auth"), true, "spec", "suspend").reported("does not run once"),
		set(jobOf(t, "auth"), 2, "spec", "parallelism").reported("does not run once"),
		set(jobOf(t, "auth"), gone, "spec", "podFailurePolicy").reported("exit code 2"),
		set("PersistentVolumeClaim/documents", []any{"ReadWriteOnce"}, "spec", "accessModes").reported("can't share it"),
		mistake{object: "Cluster/postgres", path: inHBA(4), value: gone}.reported("does not end with a refusal"),
		mistake{object: "Cluster/postgres", path: inHBA(0), value: "hostssl all all all scram-sha-256"}.reported("lets in by"),
		mistake{object: "Cluster/postgres", path: inHBA(0), value: gone}.reported("does not let auth in"),
		set("Cluster/postgres", "postgres:18", "spec", "imageName").reported("not of a catalog"),
		set("Cluster/postgres", "preferred", "spec", "affinity", "podAntiAffinityType").reported("two instances on one node"),
		set("Cluster/postgres", "8Gi", "spec", "resources", "limits", "memory").reported("memory limit is not the request"),
		set("Cluster/postgres", 0, "spec", "postgresql", "synchronous", "number").reported("durable: false"),
		set("Cluster/postgres", false, "spec", "plugins", 0, "isWALArchiver").reported("its log does not go to"),
		set("ScheduledBackup/postgres", true, "spec", "suspend").reported("no ScheduledBackup"),
		set("ScheduledBackup/postgres", "30 15 * * *", "spec", "schedule").reported("no ScheduledBackup"),
		set("ScheduledBackup/postgres", gone, "spec", "pluginConfiguration").reported("no ScheduledBackup"),
		set("ObjectStore/postgres-backup", gone, "spec", "retentionPolicy").reported("retentionPolicy"),
		set("ObjectStore/postgres-backup", "1d", "spec", "retentionPolicy").reported("retentionPolicy is not 30 days"),
		set("Cluster/postgres", "off", "spec", "postgresql", "parameters", "synchronous_commit").reported("synchronous_commit is the operator's"),
		set("Cluster/postgres", "off", "spec", "postgresql", "parameters", "fsync").reported("fsync is the operator's"),
		set("Cluster/postgres", 5, "spec", "instances").reported("of 5 instances"),
		main("documents", true, "volumeMounts", mountOf(t, "documents", "/var/lib/concord/blobs"), "readOnly").reported("mounted read-only"),
		main("documents", true, "volumeMounts", mountOf(t, "documents", "/tmp"), "readOnly").reported("mounted read-only"),
		set("Database/auth", "sync", "spec", "owner").reported("owner is not auth"),
		set("Database/auth", gone).reported("there is no Database/auth"),
		set("DatabaseRole/auth", true, "spec", "superuser").reported("superuser is not"),
		set("DatabaseRole/auth", "sync-database", "spec", "passwordSecret", "name").reported("passwordSecret"),

		// What is seen of it.
		main("auth", gone, "env", 0, "valueFrom").reported("OTEL_RESOURCE_ATTRIBUTES lacks k8s.pod.name"),
		set("Deployment/auth", gone, "metadata", "labels", "app.kubernetes.io/version").reported("app.kubernetes.io/version is not on it"),
		set("PodMonitor/concord", gone, "spec", "podMetricsEndpoints").reported("asks nothing"),
		set("PodMonitor/concord", gone, "spec", "podTargetLabels").reported("alerts name parts by"),
		set("PodMonitor/concord", "/metric", "spec", "podMetricsEndpoints", 0, "path").reported("answers nothing at /metric"),
	}
}

// mountOf is the index of what a Deployment's container has at a path.
func mountOf(t *testing.T, deployment, path string) int {
	t.Helper()
	for _, w := range open(t).sets[production].Workloads {
		for i, m := range w.Pod().Containers[0].VolumeMounts {
			if w.ID() == "Deployment/"+deployment && m.MountPath == path {
				return i
			}
		}
	}
	require.Fail(t, "nothing at "+path)
	return 0
}

// secretOf is the index of a Deployment's volume with a Secret.
func secretOf(t *testing.T, deployment, secret string) int {
	t.Helper()
	for _, w := range open(t).sets[production].Workloads {
		for i, v := range w.Pod().Volumes {
			if w.ID() == "Deployment/"+deployment && v.Secret != nil && v.Secret.SecretName == secret {
				return i
			}
		}
	}
	require.Fail(t, "no volume with "+secret)
	return 0
}

func TestEveryMutationIsNoticed(t *testing.T) {
	all := rules(t)
	reports(t, func(s *manifest.Set) []string {
		var lines []string
		for _, r := range all {
			lines = append(lines, r(s)...)
		}
		return lines
	}, mutations(t)...)
	reportsIn(t, "tests/external", all["N1c"],
		mistake{"NetworkPolicy/internet", at("spec", "podSelector", "matchExpressions", 0, "values", 2), gone, "documents: Egress 443/TCP the internet is closed"})
	reportsIn(t, "overlays/small", all["N4"],
		mistake{"Ingress/gateway", at("metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-body-size"), gone, "uploads are cut or held"})
}
