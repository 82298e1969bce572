package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/program"
)

// Outside (N1): what the pods of each program may reach outside of the namespace, and what may reach them from there, is
// what the program's settings can ask for, and nothing more.
func Outside(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	for _, w := range s.Workloads {
		p := programs[manifest.Program(w.Pod().Containers[0])]
		if p == nil {
			continue
		}
		name := w.Template.Labels["app.kubernetes.io/name"]
		found, want := outside(s, end{name: name, labels: w.Template.Labels}), wantedOutside(s, w, p)
		for _, line := range slices.Sorted(maps.Keys(found)) {
			r.want(want[line], "%s: %s is open to the outside", w.ID(), line)
		}
		for _, line := range slices.Sorted(maps.Keys(want)) {
			r.want(found[line], "%s: %s is closed to the outside", w.ID(), line)
		}
	}
	return r
}

// outside lists direction and port of what the policies of a kind of pods open to blocks of addresses and other namespaces.
func outside(s *manifest.Set, e end) map[string]bool {
	found := map[string]bool{}
	for _, p := range s.Policies {
		if !selects(&p.Spec.PodSelector, e.labels) {
			continue
		}
		for _, rule := range rules(p) {
			for _, peer := range rule.peers {
				if peer.IPBlock == nil && peer.NamespaceSelector == nil {
					continue
				}
				for _, port := range rule.ports {
					protocol := corev1.ProtocolTCP
					if port.Protocol != nil {
						protocol = *port.Protocol
					}
					found[fmt.Sprintf("%s %s/%s", rule.direction, port.Port.String(), protocol)] = true
				}
			}
		}
	}
	return found
}

// wantedOutside is what a workload needs of the world by its program's settings.
func wantedOutside(s *manifest.Set, w manifest.Workload, p *program.Program) map[string]bool {
	want := map[string]bool{"Egress 53/UDP": true, "Egress 53/TCP": true}
	has := func(name string) bool { return p.Settings[p.Variable(name)].Variable != "" }
	if !slices.ContainsFunc(ends(s), func(e end) bool { return e.name == bus }) {
		want["Egress 4222/TCP"] = true
	}
	if has("DATABASE_URL") && len(s.Of("Cluster")) == 0 {
		want["Egress 5432/TCP"] = true
	}
	if !w.Serves() {
		return want // a migration talks to nobody else
	}
	want[fmt.Sprintf("Ingress %d/TCP", healthPort)] = true
	want["Egress 4317/TCP"] = true // the collector of traces and metrics
	if has("MAIL_HOST") {
		want["Egress 465/TCP"], want["Egress 587/TCP"] = true, true
	}
	for _, setting := range p.Settings {
		// The services of others that a program calls: text messages, and what has an address on the internet by default.
		if strings.HasPrefix(setting.Default, "https://") || strings.HasPrefix(setting.Key, "sms.") {
			want["Egress 443/TCP"] = true
		}
	}
	if !has("GRPC_ADDR") { // people come to the part that speaks HTTP alone
		want["Ingress 8080/TCP"] = true
	}
	return want
}
