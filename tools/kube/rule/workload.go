package rule

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/concord-suite/concord/tools/kube/manifest"
)

// Namespace (W1): the namespace admits restricted pods only, by rules that a cluster's upgrade does not change, and
// everything stands in it.
func Namespace(s *manifest.Set) []string {
	var r report
	r.want(len(s.Namespaces) == 1 && s.Namespaces[0].Name == namespace, "want the namespace %s and no other", namespace)
	for _, n := range s.Namespaces {
		for _, mode := range []string{"enforce", "audit", "warn"} {
			key := "pod-security.kubernetes.io/" + mode
			r.want(n.Labels[key] == "restricted", "Namespace/%s: %s is %q, not restricted", n.Name, key, n.Labels[key])
			version := n.Labels[key+"-version"]
			r.want(pinned.MatchString(version), "Namespace/%s: %s-version is %q, not a version", n.Name, key, version)
		}
	}
	for _, o := range s.Objects {
		want := namespace
		if slices.Contains(clusterWide, o.Kind()) {
			want = ""
		}
		r.want(o.Namespace() == want, "%s: is in namespace %q, not %q", o.ID(), o.Namespace(), want)
	}
	return r
}

// clusterWide are the kinds that belong to no namespace. Who may apply them has more rights than the rest needs, so that each
// stands in a component that can be left out.
var clusterWide = []string{"Namespace", "PriorityClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}

var pinned = regexp.MustCompile(`^v1\.\d+$`)

// minUID is the least uid and gid that no user of a usual host has.
const minUID = 10000

// SecurityContext (W2) goes through what the restricted profile asks for, and a uid that is nobody's.
func SecurityContext(s *manifest.Set) []string {
	var r report
	for _, w := range s.Workloads {
		p := w.Pod()
		r.want(!p.HostNetwork && !p.HostPID && !p.HostIPC, "%s: shares a namespace of the host", w.ID())
		r.want(p.HostUsers == nil || !*p.HostUsers, "%s: hostUsers", w.ID())
		r.want(p.SecurityContext != nil && p.SecurityContext.FSGroup != nil && *p.SecurityContext.FSGroup >= minUID, "%s: no fsGroup of its own", w.ID())
		for _, v := range p.Volumes {
			r.want(v.HostPath == nil, "%s: volume %s is a hostPath", w.ID(), v.Name)
		}
		r.want(p.ShareProcessNamespace == nil || !*p.ShareProcessNamespace, "%s: shareProcessNamespace", w.ID())
		if sc := p.SecurityContext; sc != nil {
			r.want(len(sc.SupplementalGroups)+len(sc.Sysctls) == 0, "%s: supplementalGroups or sysctls", w.ID())
			r.want(sc.AppArmorProfile == nil || sc.AppArmorProfile.Type == corev1.AppArmorProfileTypeRuntimeDefault, "%s: appArmorProfile", w.ID())
		}
	}
	eachContainer(s, func(w manifest.Workload, c corev1.Container, at string) {
		pod, own := w.Pod().SecurityContext, c.SecurityContext
		if pod == nil || own == nil {
			r.add("%s: has no securityContext", at)
			return
		}
		either := func(own, pod *int64) bool {
			return own != nil && *own >= minUID || own == nil && pod != nil && *pod >= minUID
		}
		r.want(is(own.RunAsNonRoot, true) || own.RunAsNonRoot == nil && is(pod.RunAsNonRoot, true), "%s: runAsNonRoot", at)
		r.want(either(own.RunAsUser, pod.RunAsUser), "%s: runAsUser", at)
		r.want(either(own.RunAsGroup, pod.RunAsGroup), "%s: runAsGroup", at)
		r.want(is(own.AllowPrivilegeEscalation, false), "%s: allowPrivilegeEscalation", at)
		r.want(!is(own.Privileged, true), "%s: privileged", at)
		r.want(own.ProcMount == nil || *own.ProcMount == corev1.DefaultProcMount, "%s: procMount", at)
		drop := own.Capabilities != nil && slices.Equal(own.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(own.Capabilities.Add) == 0
		r.want(drop, "%s: capabilities: drop ALL and add none", at)
		seccomp := own.SeccompProfile
		if seccomp == nil {
			seccomp = pod.SeccompProfile
		}
		r.want(seccomp != nil && seccomp.Type == corev1.SeccompProfileTypeRuntimeDefault, "%s: seccompProfile", at)
		for _, port := range c.Ports {
			r.want(port.HostPort == 0, "%s: hostPort", at)
		}
	})
	return r
}

// spool wants a program that spools bytes to have a volume for them that holds more than it may put there: a pod that fills its own
// is evicted.
func (r *report) spool(s *manifest.Set, w manifest.Workload, c corev1.Container, at string) {
	env := s.Env(c).Values
	for name, size := range env {
		if !strings.HasSuffix(name, "_S3_SPOOL") {
			continue
		}
		var limit *resource.Quantity
		for _, m := range c.VolumeMounts {
			for _, v := range w.Pod().Volumes {
				if m.MountPath == env[name+"_DIR"] && v.Name == m.Name && v.EmptyDir != nil {
					limit = v.EmptyDir.SizeLimit
				}
			}
		}
		wanted, err := resource.ParseQuantity(strings.TrimSuffix(size, "B"))
		r.want(err == nil && limit != nil && limit.Cmp(wanted) > 0, "%s: no volume holds more than the %s of %s", at, size, name)
	}
}

// ReadOnlyRoot (W3): the root is read-only, and what may be written is bounded and mounted nowhere but where it is needed.
func ReadOnlyRoot(s *manifest.Set) []string {
	var r report
	eachContainer(s, func(w manifest.Workload, c corev1.Container, at string) {
		r.want(c.SecurityContext != nil && is(c.SecurityContext.ReadOnlyRootFilesystem, true), "%s: readOnlyRootFilesystem", at)
		for _, m := range c.VolumeMounts {
			source := s.File(w, c, m.MountPath)
			writable := source.Kind == "emptyDir" || source.Kind == "claim" || w.StatefulSet != nil && source.Kind == ""
			r.want(m.ReadOnly || writable, "%s: %s is not mounted read-only", at, m.MountPath)
			r.want(!m.ReadOnly || !writable, "%s: %s is there to be written, and mounted read-only", at, m.MountPath)
			r.want(m.SubPath == "" && m.SubPathExpr == "", "%s: %s is a subPath, which never changes", at, m.MountPath)
		}
		r.want(s.File(w, c, "/tmp/x").Kind == "emptyDir", "%s: nothing can be written at /tmp", at)
		r.spool(s, w, c, at)
	})
	for _, w := range s.Workloads {
		for _, v := range w.Pod().Volumes {
			bounded := v.EmptyDir == nil || v.EmptyDir.SizeLimit != nil && !v.EmptyDir.SizeLimit.IsZero()
			r.want(bounded, "%s: emptyDir %s has no sizeLimit", w.ID(), v.Name)
			r.want(v.PersistentVolumeClaim == nil || !v.PersistentVolumeClaim.ReadOnly, "%s: claim %s is read-only", w.ID(), v.Name)
		}
	}
	return r
}

// Mounts (D1) are such that the programs take what is in them: of secrets nobody but the pod's group may read a file, and a pod does
// not start without one.
func Mounts(s *manifest.Set) []string {
	var r report
	for _, w := range s.Workloads {
		for _, c := range w.Containers() {
			for _, m := range c.VolumeMounts {
				there := slices.ContainsFunc(w.Pod().Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) || w.StatefulSet != nil &&
					slices.ContainsFunc(w.StatefulSet.Spec.VolumeClaimTemplates, func(v corev1.PersistentVolumeClaim) bool { return v.Name == m.Name })
				r.want(there, "%s %s: mounts %s, which is no volume", w.ID(), c.Name, m.Name)
			}
		}
		for _, v := range w.Pod().Volumes {
			named := v.EmptyDir != nil || v.Projected != nil || v.CSI != nil || v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName != "" ||
				v.Secret != nil && v.Secret.SecretName != "" || v.ConfigMap != nil && v.ConfigMap.Name != ""
			r.want(named, "%s: volume %s is of nothing", w.ID(), v.Name)
			if v.Secret != nil {
				r.want(is(v.Secret.DefaultMode, 0o440), "%s: Secret %s is not mounted with mode 0440", w.ID(), v.Secret.SecretName)
				if cluster, ca := strings.CutSuffix(v.Secret.SecretName, "-ca"); ca && s.Has("Cluster", cluster) {
					public := len(v.Secret.Items) == 1 && v.Secret.Items[0].Key == "ca.crt"
					r.want(public, "%s: has the key of the databases' authority, not its certificate alone", w.ID())
				}
				r.want(v.Secret.Optional == nil, "%s: Secret %s is optional", w.ID(), v.Secret.SecretName)
				for _, item := range v.Secret.Items {
					r.want(item.Mode == nil, "%s: %s of Secret %s has a mode of its own", w.ID(), item.Key, v.Secret.SecretName)
				}
			}
			r.want(v.ConfigMap == nil || v.ConfigMap.Optional == nil, "%s: volume %s is optional", w.ID(), v.Name)
		}
	}
	return r
}

// Entrypoints (W5): pods run what the image begins with, and what the suite asks of it by arguments; names are found by the cluster's
// DNS; nobody but the scheduler says where.
func Entrypoints(s *manifest.Set) []string {
	var r report
	for _, w := range s.Workloads {
		p := w.Pod()
		r.want(p.DNSPolicy == "" || p.DNSPolicy == corev1.DNSClusterFirst, "%s: dnsPolicy %s does not know the parts", w.ID(), p.DNSPolicy)
		r.want(len(p.HostAliases) == 0, "%s: hostAliases", w.ID())
		r.want(p.NodeName == "" && p.SchedulerName == "", "%s: is placed past the scheduler", w.ID())
		anywhere := slices.ContainsFunc(p.Tolerations, func(t corev1.Toleration) bool { return t.Key == "" })
		r.want(!anywhere, "%s: tolerates everything, cordoned nodes as well", w.ID())
		for _, c := range w.Containers() {
			r.want(len(c.Command) == 0, "%s %s: command takes the place of the image's own", w.ID(), c.Name)
			if w.Deployment != nil {
				r.want(len(c.Args) == 0, "%s %s: args %v", w.ID(), c.Name, c.Args)
				r.want(c.Lifecycle == nil || c.Lifecycle.PostStart == nil && (c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep != nil), "%s %s: the image has no program for its lifecycle hooks", w.ID(), c.Name)
			}
		}
	}
	return r
}

// NoAPIAccess (W4): every workload has an account of its own or its part's, without a token and without rights.
func NoAPIAccess(s *manifest.Set) []string {
	var r report
	owners := map[string]string{}
	for _, w := range s.Workloads {
		account := w.Pod().ServiceAccountName
		r.want(s.Has("ServiceAccount", account), "%s: there is no ServiceAccount %q", w.ID(), account)
		r.want(is(w.Pod().AutomountServiceAccountToken, false), "%s: automountServiceAccountToken", w.ID())
		r.want(is(w.Pod().EnableServiceLinks, false), "%s: enableServiceLinks", w.ID())
		for _, c := range w.Pod().Containers[:1] {
			program := manifest.Program(c)
			r.want(owners[account] == "" || owners[account] == program, "%s: shares ServiceAccount %s with %s", w.ID(), account, owners[account])
			owners[account] = program
		}
		for _, v := range w.Pod().Volumes {
			if v.Projected == nil {
				continue
			}
			for _, source := range v.Projected.Sources {
				r.want(source.ServiceAccountToken == nil, "%s: volume %s has a token of the service account", w.ID(), v.Name)
			}
		}
	}
	for _, a := range s.ServiceAccounts {
		r.want(is(a.AutomountServiceAccountToken, false), "ServiceAccount/%s: automountServiceAccountToken", a.Name)
	}
	for _, o := range s.Objects {
		r.want(!strings.HasPrefix(o.APIVersion(), "rbac.authorization.k8s.io/"), "%s: gives rights that nothing here needs", o.ID())
	}
	return r
}

var byDigest = regexp.MustCompile(`^[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}$`)

// Images (W5): every image is named with its registry and digest and no tag.
func Images(s *manifest.Set) []string {
	var r report
	eachContainer(s, func(_ manifest.Workload, c corev1.Container, at string) {
		r.want(byDigest.MatchString(c.Image), "%s: image %q is not named by registry and digest alone", at, c.Image)
	})
	return r
}

// Labels (W6): the standard labels stand on every object and every pod.
func Labels(s *manifest.Set) []string {
	const part, name, component = "app.kubernetes.io/part-of", "app.kubernetes.io/name", "app.kubernetes.io/component"
	const version = "app.kubernetes.io/version"
	var r report
	for _, o := range s.Objects {
		r.want(o.At("metadata", "labels", part) == "concord", "%s: has no label %s: concord", o.ID(), part)
	}
	for _, w := range s.Workloads {
		keys := []string{part, name, component}
		if w.StatefulSet == nil { // what is the same as in the release before must not be restarted for a label
			keys = append(keys, version)
		}
		for _, key := range keys {
			r.want(w.Meta.Labels[key] != "" && w.Template.Labels[key] == w.Meta.Labels[key], "%s: label %s is not on it and its pods", w.ID(), key)
		}
	}
	return r
}
