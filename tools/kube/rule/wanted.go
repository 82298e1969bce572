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

// bus is the name of the NATS servers' pods.
const bus = "nats"

// Calls are the services that each program calls, as the programs say: by the name of the port on which the other answers.
func Calls(programs map[string]*program.Program) ([]Flow, error) {
	var calls []Flow
	for _, p := range programs {
		peers, err := p.Peers()
		if err != nil {
			return nil, err
		}
		for _, peer := range peers {
			if service, internal := strings.CutSuffix(peer, "-http"); internal {
				calls = append(calls, Flow{p.Name, service, "bytes"})
			} else {
				calls = append(calls, Flow{p.Name, peer, "grpc"})
			}
		}
	}
	return calls, nil
}

// Wanted are the connections between the pods of a rendering that the programs need: their calls, the bus, the database when
// it is one of the pods.
func Wanted(s *manifest.Set, programs map[string]*program.Program, calls []Flow) []Flow {
	wanted := slices.Clone(calls)
	hasBus := slices.ContainsFunc(ends(s), func(e end) bool { return e.name == bus })
	if hasBus {
		wanted = append(wanted, Flow{bus, bus, "cluster"})
	}
	for _, o := range s.Of("Cluster") { // replication, joining and failover
		wanted = append(wanted, Flow{o.Name(), o.Name(), "postgresql"}, Flow{o.Name(), o.Name(), "status"})
	}
	for _, w := range s.Workloads {
		p := programs[manifest.Program(w.Pod().Containers[0])]
		if p == nil {
			continue
		}
		name := w.Template.Labels["app.kubernetes.io/name"]
		if hasBus {
			wanted = append(wanted, Flow{name, bus, "client"})
		}
		if _, stores := p.Settings[p.Variable("DATABASE_URL")]; !stores {
			continue
		}
		for _, o := range s.Of("Cluster") {
			if own(o.Name(), p.Name) {
				wanted = append(wanted, Flow{name, o.Name(), "postgresql"})
			}
		}
	}
	return wanted
}

// own tells whether a database cluster is that of a part, or of all: its name begins with the part's, or with no part's.
func own(cluster, part string) bool {
	first, _, _ := strings.Cut(cluster, "-")
	return first == part || !slices.Contains(program.Parts, first)
}

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
