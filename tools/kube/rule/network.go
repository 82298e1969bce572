package rule

import (
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/concord-suite/concord/tools/kube/manifest"
)

// Flow is a connection between two kinds of pods of the suite.
type Flow struct{ From, To, Port string } // "sync", "auth", "grpc"

func (f Flow) String() string { return f.From + " -> " + f.To + ":" + f.Port }

// end is a kind of pods that opens or takes connections.
type end struct {
	name   string
	labels map[string]string
	ports  []corev1.ContainerPort
}

// ends are the pods of the rendering, and of a database that an operator makes of a Cluster.
func ends(s *manifest.Set) []end {
	var all []end
	for _, w := range s.Workloads {
		e := end{name: w.Template.Labels["app.kubernetes.io/name"], labels: w.Template.Labels}
		for _, c := range w.Containers() {
			e.ports = append(e.ports, c.Ports...)
		}
		all = append(all, e)
	}
	for _, o := range s.Of("Cluster") {
		all = append(all, end{
			name: o.Name(), labels: map[string]string{"cnpg.io/cluster": o.Name(), "cnpg.io/podRole": "instance"},
			ports: []corev1.ContainerPort{{Name: "postgresql", ContainerPort: 5432}, {Name: "status", ContainerPort: 8000}, {Name: "metrics", ContainerPort: 9187}},
		})
	}
	return all
}

// Isolation (N1): every pod is closed in both directions, by one policy for all, and what is open is open to somebody named:
// no rule without peers, no peer that is everybody in the cluster, no rule without ports.
func Isolation(s *manifest.Set) []string {
	var r report
	for _, e := range ends(s) {
		for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
			closed := slices.ContainsFunc(s.Policies, func(p networkingv1.NetworkPolicy) bool {
				return selects(&p.Spec.PodSelector, e.labels) && slices.Contains(p.Spec.PolicyTypes, direction)
			})
			r.want(closed, "%s: %s is not closed", e.name, direction)
		}
	}
	deny := slices.ContainsFunc(s.Policies, func(p networkingv1.NetworkPolicy) bool {
		everybody := len(p.Spec.PodSelector.MatchLabels)+len(p.Spec.PodSelector.MatchExpressions) == 0
		return everybody && len(p.Spec.PolicyTypes) == 2 && len(p.Spec.Ingress)+len(p.Spec.Egress) == 0
	})
	r.want(deny, "no policy closes whatever else starts in the namespace")
	for _, p := range s.Policies {
		for _, rule := range rules(p) {
			r.want(slices.Contains(p.Spec.PolicyTypes, rule.direction), "NetworkPolicy/%s: opens %s, which is not among its policyTypes", p.Name, rule.direction)
			r.want(len(rule.peers) > 0, "NetworkPolicy/%s: opens %s for everybody", p.Name, rule.direction)
			r.want(len(rule.ports) > 0, "NetworkPolicy/%s: opens every port of %s", p.Name, rule.direction)
			for _, peer := range rule.peers {
				r.want(peer.NamespaceSelector == nil || !empty(peer.NamespaceSelector), "NetworkPolicy/%s: opens %s for all pods of the cluster", p.Name, rule.direction)
				r.want(peer.NamespaceSelector == nil || one(peer.NamespaceSelector), "NetworkPolicy/%s: opens %s for namespaces that it does not name", p.Name, rule.direction)
				anyone := peer.NamespaceSelector == nil && peer.PodSelector != nil && empty(peer.PodSelector)
				r.want(!anyone, "NetworkPolicy/%s: opens %s for all pods of the namespace", p.Name, rule.direction)
				if peer.IPBlock == nil {
					continue
				}
				r.narrow(p.Name, rule.direction, peer.IPBlock.CIDR)
				for _, block := range private[peer.IPBlock.CIDR] {
					r.want(slices.Contains(peer.IPBlock.Except, block), "NetworkPolicy/%s: %s to the internet includes private addresses, %s", p.Name, rule.direction, block)
				}
				wide := private[peer.IPBlock.CIDR] != nil && rule.direction == networkingv1.PolicyTypeIngress
				r.want(!wide, "NetworkPolicy/%s: takes connections from the internet", p.Name)
			}
		}
		used := slices.ContainsFunc(ends(s), func(e end) bool { return selects(&p.Spec.PodSelector, e.labels) })
		r.want(used, "NetworkPolicy/%s: selects no pod", p.Name)
	}
	return r
}

// private are the addresses that are not of the internet, and those by which clouds tell a machine its secrets.
var private = map[string][]string{
	"0.0.0.0/0": {"10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"},
	"::/0":      {"fc00::/7", "fe80::/10"},
}

// The shortest prefixes of blocks that are not the internet: those that nodes ask from are of a whole cluster, those that pods reach
// are of some servers.
var shortest = map[networkingv1.PolicyType]struct{ v4, v6 int }{
	networkingv1.PolicyTypeIngress: {12, 48},
	networkingv1.PolicyTypeEgress:  {20, 64},
}

// narrow wants a block to be the internet, which has its exceptions, or some addresses.
func (r *report) narrow(policy string, direction networkingv1.PolicyType, cidr string) {
	if private[cidr] != nil {
		return
	}
	block, err := netip.ParsePrefix(cidr)
	least := shortest[direction].v6
	if err == nil && block.Addr().Is4() {
		least = shortest[direction].v4
	}
	r.want(err == nil && block.Bits() >= least, "NetworkPolicy/%s: opens %s for more than some addresses: %s", policy, direction, cidr)
}

// one tells whether a selector of namespaces names one.
func one(selector *metav1.LabelSelector) bool {
	return len(selector.MatchExpressions) == 0 && selector.MatchLabels[corev1.LabelMetadataName] != ""
}

func empty(selector *metav1.LabelSelector) bool {
	return len(selector.MatchLabels)+len(selector.MatchExpressions) == 0
}

// opening is an ingress or egress rule: both are peers and ports.
type opening struct {
	direction networkingv1.PolicyType
	peers     []networkingv1.NetworkPolicyPeer
	ports     []networkingv1.NetworkPolicyPort
}

func rules(p networkingv1.NetworkPolicy) []opening {
	var all []opening
	for _, in := range p.Spec.Ingress {
		all = append(all, opening{networkingv1.PolicyTypeIngress, in.From, in.Ports})
	}
	for _, out := range p.Spec.Egress {
		all = append(all, opening{networkingv1.PolicyTypeEgress, out.To, out.Ports})
	}
	return all
}

// Pairs (N1): what one side may open the other side takes, and both are what the programs do: wanted.
func Pairs(s *manifest.Set, wanted []Flow) []string {
	var r report
	out, in := flows(s, networkingv1.PolicyTypeEgress), flows(s, networkingv1.PolicyTypeIngress)
	want := map[Flow]bool{}
	for _, f := range wanted {
		want[f] = true
	}
	for _, f := range sorted(out, in, want) {
		r.want(out[f] == want[f], "%s: egress open: %t, wanted: %t", f, out[f], want[f])
		r.want(in[f] == want[f], "%s: ingress open: %t, wanted: %t", f, in[f], want[f])
	}
	return r
}

func sorted(sets ...map[Flow]bool) []Flow {
	all := map[Flow]bool{}
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b Flow) int {
		return slices.Compare([]string{a.From, a.To, a.Port}, []string{b.From, b.To, b.Port})
	})
}

// flows are the connections between pods of the rendering that one direction's policies let through.
func flows(s *manifest.Set, direction networkingv1.PolicyType) map[Flow]bool {
	open := map[Flow]bool{}
	all := ends(s)
	for _, from := range all {
		for _, to := range all {
			for _, port := range to.ports {
				here, there := from, to
				if direction == networkingv1.PolicyTypeIngress {
					here, there = to, from
				}
				if lets(s, direction, here, there, port) {
					open[Flow{from.name, to.name, port.Name}] = true
				}
			}
		}
	}
	return open
}

// lets tells whether the policies of one end let a connection with another end through.
func lets(s *manifest.Set, direction networkingv1.PolicyType, here, there end, port corev1.ContainerPort) bool {
	closed := false
	for _, p := range s.Policies {
		if !selects(&p.Spec.PodSelector, here.labels) || !slices.Contains(p.Spec.PolicyTypes, direction) {
			continue
		}
		closed = true
		for _, rule := range rules(p) {
			if rule.direction == direction && fits(rule.ports, port) && slices.ContainsFunc(rule.peers, func(peer networkingv1.NetworkPolicyPeer) bool { return means(s, peer, there) }) {
				return true
			}
		}
	}
	return !closed
}

func fits(ports []networkingv1.NetworkPolicyPort, port corev1.ContainerPort) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		if p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP || p.Port == nil {
			return p.Port == nil && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP)
		}
		if p.Port.Type == intstr.String {
			return p.Port.StrVal == port.Name
		}
		last := p.Port.IntVal
		if p.EndPort != nil {
			last = *p.EndPort
		}
		return port.ContainerPort >= p.Port.IntVal && port.ContainerPort <= last
	})
}

// means tells whether a peer of a policy is a kind of pods of the rendering. Blocks of addresses are the world outside.
func means(s *manifest.Set, peer networkingv1.NetworkPolicyPeer, e end) bool {
	if peer.IPBlock != nil {
		return false
	}
	if peer.NamespaceSelector != nil {
		own := map[string]string{corev1.LabelMetadataName: namespace}
		for _, n := range s.Namespaces {
			maps.Copy(own, n.Labels)
		}
		if !selects(peer.NamespaceSelector, own) {
			return false
		}
	}
	return peer.PodSelector == nil || selects(peer.PodSelector, e.labels)
}
