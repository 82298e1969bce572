package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

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
// what the program's settings can ask for, and nothing more; and so for the bus and the databases.
func Outside(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	for _, e := range ends(s) {
		r.outside(s, e, wantedOutside(s, e, programs))
	}
	return r
}

func (r *report) outside(s *manifest.Set, e end, want map[string]bool) {
	found := outside(s, e)
	for _, line := range slices.Sorted(maps.Keys(found)) {
		r.want(want[line], "%s: %s is open to the outside", e.name, line)
	}
	for _, line := range slices.Sorted(maps.Keys(want)) {
		r.want(found[line], "%s: %s is closed to the outside", e.name, line)
	}
}

// How lines about the outside name it.
const (
	addresses  = "addresses" // blocks of them: the nodes, a service elsewhere
	internet   = "the internet"
	namespaces = "namespaces" // pods of another namespace
	clusterDNS = "the cluster's DNS"
)

// outside lists direction, port and kind of peer of what the policies of a kind of pods open to blocks of addresses and to other
// namespaces.
func outside(s *manifest.Set, e end) map[string]bool {
	found := map[string]bool{}
	for _, p := range s.Policies {
		if !selects(&p.Spec.PodSelector, e.labels) {
			continue
		}
		for _, rule := range rules(p) {
			for _, peer := range rule.peers {
				who := addresses
				if peer.IPBlock == nil && peer.NamespaceSelector == nil {
					continue
				} else if peer.IPBlock != nil && private[peer.IPBlock.CIDR] != nil {
					who = internet
				} else if isDNS(peer) {
					who = clusterDNS
				} else if peer.IPBlock == nil {
					who = namespaces
				}
				for _, port := range rule.ports {
					protocol := corev1.ProtocolTCP
					if port.Protocol != nil {
						protocol = *port.Protocol
					}
					found[fmt.Sprintf("%s %s/%s %s", rule.direction, port.Port.String(), protocol, who)] = true
				}
			}
		}
	}
	return found
}

// isDNS tells whether a peer is the cluster's DNS by the labels that it has everywhere.
func isDNS(peer networkingv1.NetworkPolicyPeer) bool {
	return peer.NamespaceSelector != nil && peer.NamespaceSelector.MatchLabels[corev1.LabelMetadataName] == "kube-system" &&
		peer.PodSelector != nil && peer.PodSelector.MatchLabels["k8s-app"] == "kube-dns"
}

// wantedOutside is what a kind of pods needs of the world: those of a program by its settings.
func wantedOutside(s *manifest.Set, e end, programs map[string]*program.Program) map[string]bool {
	want := map[string]bool{}
	for _, protocol := range []string{"UDP", "TCP"} { // the cache on a node has an address
		want["Egress 53/"+protocol+" "+clusterDNS], want["Egress 53/"+protocol+" "+addresses] = true, true
	}
	at := slices.IndexFunc(s.Workloads, func(w manifest.Workload) bool { return w.Template.Labels["app.kubernetes.io/name"] == e.name })
	switch {
	case e.name == bus:
		want["Ingress 8222/TCP "+addresses] = true // kubelets
	case at < 0: // the databases: kubelets, the operator; the API server, and an object store for backups if there is one
		for _, line := range []string{
			"Ingress 8000/TCP " + addresses, "Ingress 8000/TCP " + namespaces, "Ingress 5432/TCP " + namespaces,
			"Egress 443/TCP " + addresses, "Egress 6443/TCP " + addresses,
		} {
			want[line] = true
		}
		if len(s.Of("ObjectStore")) > 0 {
			want["Egress 443/TCP "+internet] = true
		}
	case programs[manifest.Program(s.Workloads[at].Pod().Containers[0])] != nil:
		programOutside(want, s, s.Workloads[at], programs[manifest.Program(s.Workloads[at].Pod().Containers[0])])
	}
	for _, port := range monitored(s, e) {
		want[fmt.Sprintf("Ingress %d/TCP %s", port, namespaces)] = true
	}
	return want
}

// monitored are the ports of a kind of pods that a PodMonitor of the rendering has Prometheus ask.
func monitored(s *manifest.Set, e end) []int32 {
	var ports []int32
	for _, o := range s.Of("PodMonitor") {
		m, err := decodeMonitor(o)
		if err != nil || !selects(&m.Spec.Selector, e.labels) { // rule Monitors says what is wrong with it
			continue
		}
		for _, endpoint := range m.Spec.PodMetricsEndpoints {
			for _, p := range e.ports {
				if p.Name == endpoint.Port {
					ports = append(ports, p.ContainerPort)
				}
			}
		}
	}
	return ports
}

// programOutside adds what a program needs of the world by its settings.
func programOutside(want map[string]bool, s *manifest.Set, w manifest.Workload, p *program.Program) {
	has := func(name string) bool { return p.Settings[p.Variable(name)].Variable != "" }
	if !slices.ContainsFunc(ends(s), func(e end) bool { return e.name == bus }) {
		want["Egress 4222/TCP "+addresses] = true
	}
	if has("DATABASE_URL") && len(s.Of("Cluster")) == 0 {
		want["Egress 5432/TCP "+addresses] = true
	}
	if !w.Serves() {
		return // a migration talks to nobody else
	}
	env := s.Env(w.Pod().Containers[0]).Values
	want[fmt.Sprintf("Ingress %d/TCP %s", healthPort, addresses)] = true // kubelets
	if collector := env[p.Variable("OTLP_ENDPOINT")]; collector != "" {
		_, port := host(collector)
		want["Egress "+port+"/TCP "+namespaces] = true
	}
	if has("MAIL_HOST") {
		want["Egress 465/TCP "+internet], want["Egress 587/TCP "+internet] = true, true
	}
	for _, setting := range []string{"S3_BUCKET", "KEYRING_KMS", "KEYRING_KMS_FILE"} {
		if env[p.Variable(setting)] != "" {
			want["Egress 443/TCP "+internet] = true
		}
	}
	for _, setting := range p.Settings {
		// The services of others that a program calls: text messages, and what has an address on the internet by default.
		if strings.HasPrefix(setting.Default, "https://") || strings.HasPrefix(setting.Key, "sms.") {
			want["Egress 443/TCP "+internet] = true
		}
	}
	if !has("GRPC_ADDR") { // people come to the part that speaks HTTP alone
		want["Ingress 8080/TCP "+namespaces] = true
	}
}
