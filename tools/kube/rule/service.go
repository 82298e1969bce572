package rule

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/program"
)

// Services (N6): every Service has the pods of exactly one workload behind it, its ports lead to ports of theirs by name, and
// only the servers of the bus are found before they are ready.
func Services(s *manifest.Set) []string {
	var r report
	for _, service := range s.Services {
		var behind []manifest.Workload
		for _, w := range s.Workloads {
			matches := len(service.Spec.Selector) > 0
			for key, value := range service.Spec.Selector {
				matches = matches && w.Template.Labels[key] == value
			}
			if matches {
				behind = append(behind, w)
			}
		}
		at := "Service/" + service.Name
		if len(behind) != 1 {
			r.add("%s: %d workloads are behind it", at, len(behind))
			continue
		}
		r.want(!service.Spec.PublishNotReadyAddresses || behind[0].StatefulSet != nil, "%s: publishNotReadyAddresses", at)
		for _, port := range service.Spec.Ports {
			r.want(port.Name != "" && port.TargetPort.Type == intstr.String, "%s: port %d has no name, or its target has none", at, port.Port)
			r.want(has(behind[0], port.TargetPort.StrVal), "%s: %s has no port %s", at, behind[0].ID(), port.TargetPort.String())
		}
	}
	for _, w := range s.Workloads {
		if w.Selector == nil {
			continue
		}
		for _, other := range s.Workloads {
			r.want(selects(w.Selector, other.Template.Labels) == (w.ID() == other.ID()), "%s: selects pods of %s: %t", w.ID(), other.ID(), w.ID() != other.ID())
		}
	}
	return r
}

// Wiring (N6): a program listens where its pod's ports say, finds the bus by TLS where its Service is, keeps files where a volume is,
// and names itself to people as the route does.
func Wiring(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	public := hosts(s)
	eachService(s, func(w manifest.Workload, c corev1.Container) {
		p, env := programs[manifest.Program(c)], s.Env(c).Values
		for setting, names := range map[string][]string{"GRPC_ADDR": {"grpc"}, "HEALTH_ADDR": {health}, "HTTP_ADDR": {"bytes", "http"}} {
			if p.Settings[p.Variable(setting)].Variable == "" {
				continue
			}
			there := slices.ContainsFunc(c.Ports, func(port corev1.ContainerPort) bool {
				return slices.Contains(names, port.Name) && env[p.Variable(setting)] == ":"+strconv.Itoa(int(port.ContainerPort))
			})
			r.want(there, "%s: %s is %q, which is no port %s", w.ID(), p.Variable(setting), env[p.Variable(setting)], strings.Join(names, " or "))
		}
		for address := range strings.SplitSeq(env[p.Variable("NATS_URL")], ",") {
			to, port := host(address)
			inside := slices.ContainsFunc(ends(s), func(e end) bool { return e.name == bus })
			r.want(strings.HasPrefix(address, "tls://") && (!inside || serviceAt(s, to, port) != nil), "%s: no bus speaks TLS at %s", w.ID(), address)
		}
		if dir, set := env[p.Variable("BLOB_DIR")]; set {
			r.want(s.File(w, c, dir+"/x").Kind == "claim", "%s: documents are kept at %s, where no volume is", w.ID(), dir)
		}
		for _, setting := range []string{"PUBLIC_URL", "XERO_REDIRECT_URL"} {
			if url, set := env[p.Variable(setting)]; set {
				to, _ := host(url)
				r.want(strings.HasPrefix(url, "https://") && slices.Contains(public, to), "%s: %s is %s, and people come to %v", w.ID(), p.Variable(setting), url, public)
			}
		}
	})
	return r
}

// hosts are the names under which people reach the gateway.
func hosts(s *manifest.Set) []string {
	var all []string
	for _, o := range s.Of("HTTPRoute") {
		names, _ := o.At("spec", "hostnames").([]any)
		for i := range names {
			all = append(all, text(o, "spec", "hostnames", i))
		}
	}
	for _, i := range s.Ingresses {
		for _, rule := range i.Spec.Rules {
			all = append(all, rule.Host)
		}
	}
	return all
}

func has(w manifest.Workload, port string) bool {
	return slices.ContainsFunc(w.Containers(), func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == port })
	})
}

// serviceAt finds the Service of a host and port inside the namespace.
func serviceAt(s *manifest.Set, name, port string) *corev1.Service {
	for i, service := range s.Services {
		if service.Name != name {
			continue
		}
		for _, p := range service.Spec.Ports {
			if strconv.Itoa(int(p.Port)) == port {
				return &s.Services[i]
			}
		}
	}
	return nil
}

// longestConnection is how old a connection to a part may get: then its client looks again which pods there are.
const longestConnection = 30 * time.Minute

// Balancing (N2): the parts call each other's pods, not an address in front of them: a headless Service, resolved by gRPC
// itself, which balances over what it finds.
func Balancing(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	eachService(s, func(w manifest.Workload, c corev1.Container) {
		p := programs[manifest.Program(c)]
		for peer := range strings.SplitSeq(s.Env(c).Values[p.Variable("PEERS")], ",") {
			name, address, _ := strings.Cut(strings.TrimSpace(peer), "=")
			to, port := host(address)
			service := serviceAt(s, to, port)
			if service == nil {
				r.add("%s: %s is at %s, where no Service is", w.ID(), name, address)
				continue
			}
			r.want(service.Spec.ClusterIP == corev1.ClusterIPNone, "%s: %s has one address for all its pods", w.ID(), name)
			r.want(strings.HasPrefix(address, "dns:///"), "%s: %s: %s is not resolved by gRPC", w.ID(), name, address)
		}
		if age := p.Variable("MAX_CONNECTION_AGE"); p.Settings[age].Variable != "" {
			lasts := duration(p, s.Env(c), "MAX_CONNECTION_AGE")
			r.want(lasts > 0 && lasts <= longestConnection, "%s: a connection lasts %s: pods that are new get no calls", w.ID(), lasts)
		}
	})
	return r
}

// Edge (N4): the gateway alone is reached from outside, on a port that says what it speaks, and every backend is there.
func Edge(s *manifest.Set) []string {
	var r report
	check := func(at, name, port string) {
		r.want(name == "gateway", "%s: leads to %s", at, name)
		service := serviceAt(s, name, port)
		if service == nil {
			r.add("%s: there is no Service %s with port %s", at, name, port)
			return
		}
		for _, p := range service.Spec.Ports {
			r.want(p.AppProtocol != nil, "Service/%s: port %s has no appProtocol", name, p.Name)
		}
	}
	found := 0
	for _, o := range s.Of("HTTPRoute") {
		rules, _ := o.At("spec", "rules").([]any)
		parents, _ := o.At("spec", "parentRefs").([]any)
		for i := range parents {
			r.want(text(o, "spec", "parentRefs", i, "sectionName") == "https", "%s: is at other listeners than https", o.ID())
			r.want(text(o, "spec", "parentRefs", i, "namespace") != "", "%s: names no Gateway of the platform", o.ID())
		}
		r.want(len(parents) > 0 && text(o, "spec", "hostnames", 0) != "", "%s: at no Gateway or for every host", o.ID())
		for i := range rules {
			refs, _ := o.At("spec", "rules", i, "backendRefs").([]any)
			for j := range refs {
				found++
				r.want(text(o, "spec", "rules", i, "timeouts", "request") == "0s", "%s: what lasts is cut", o.ID())
				port, _ := o.At("spec", "rules", i, "backendRefs", j, "port").(float64)
				check(o.ID(), text(o, "spec", "rules", i, "backendRefs", j, "name"), strconv.Itoa(int(port)))
			}
		}
	}
	for _, i := range s.Ingresses {
		for _, rule := range i.Spec.Rules {
			for _, p := range rule.HTTP.Paths {
				found++
				check("Ingress/"+i.Name, p.Backend.Service.Name, ingressPort(s, p.Backend.Service.Name, p.Backend.Service.Port.Name, p.Backend.Service.Port.Number))
			}
		}
		r.want(len(i.Spec.TLS) > 0, "Ingress/%s: without TLS", i.Name)
		for name, value := range map[string]string{"proxy-body-size": "0", "proxy-request-buffering": "off", "proxy-buffering": "off"} {
			r.want(i.Annotations["nginx.ingress.kubernetes.io/"+name] == value, "Ingress/%s: %s is not %s: uploads are cut or held", i.Name, name, value)
		}
	}
	for _, service := range s.Services {
		r.want(len(service.Spec.ExternalIPs) == 0, "Service/%s: externalIPs", service.Name)
		r.want(service.Spec.Type == "" || service.Spec.Type == corev1.ServiceTypeClusterIP, "Service/%s: is a %s", service.Name, service.Spec.Type)
	}
	eachService(s, func(w manifest.Workload, c corev1.Container) {
		if proxies := s.Env(c).Values["CONCORD_GATEWAY_TRUSTED_PROXIES"]; manifest.Program(c) == "gateway" {
			r.want(proxies == "1", "%s: the address of whoever asks is not that which the one proxy says: TRUSTED_PROXIES is %q", w.ID(), proxies)
		}
	})
	r.want(found > 0, "nobody reaches the gateway: no HTTPRoute and no Ingress")
	return r
}

// ingressPort is the number of a Service's port that an Ingress names.
func ingressPort(s *manifest.Set, service, name string, number int32) string {
	for _, candidate := range s.Services {
		for _, p := range candidate.Spec.Ports {
			if candidate.Name == service && p.Name == name {
				number = p.Port
			}
		}
	}
	return strconv.Itoa(int(number))
}
