package rule

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/program"
)

// Telemetry (O1): a collector is told by all parts or by none, and every pod says which it is.
func Telemetry(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	told := map[string]bool{}
	eachService(s, func(w manifest.Workload, c corev1.Container) {
		env := s.Env(c).Values
		told[env[programs[manifest.Program(c)].Variable("OTLP_ENDPOINT")]] = true
		attributes := env["OTEL_RESOURCE_ATTRIBUTES"]
		for _, name := range []string{"service.instance.id", "k8s.pod.name", "k8s.namespace.name", "k8s.node.name"} {
			_, value, _ := strings.Cut(attributes, name+"=")
			r.want(value != "" && value[0] != ',', "%s: OTEL_RESOURCE_ATTRIBUTES lacks %s", w.ID(), name)
		}
		r.want(!strings.Contains(attributes, "$("), "%s: OTEL_RESOURCE_ATTRIBUTES refers to what stands behind it: %s", w.ID(), attributes)
	})
	r.want(len(told) <= 1, "the parts tell different collectors: %v", told)
	return r
}

// Logs (O2): every program writes JSON lines.
func Logs(s *manifest.Set, programs map[string]*program.Program) []string {
	var r report
	eachService(s, func(w manifest.Workload, c corev1.Container) {
		p := programs[manifest.Program(c)]
		format, set := s.Env(c).Values[p.Variable("LOG_FORMAT")]
		if !set {
			format = p.Settings[p.Variable("LOG_FORMAT")].Default
		}
		r.want(format == "json", "%s: writes its log as %q", w.ID(), format)
	})
	return r
}

// podMonitor is what rules need of one.
type podMonitor struct {
	Spec struct {
		Selector            metav1.LabelSelector
		PodMetricsEndpoints []struct{ Port, Path string }
		PodTargetLabels     []string
	}
}

func decodeMonitor(o manifest.Object) (m podMonitor, err error) { return m, o.Decode(&m) }

// Monitors (O1): a monitor selects the pods of something, and asks a port that they have.
func Monitors(s *manifest.Set) []string {
	var r report
	for _, o := range s.Of("PodMonitor") {
		m, err := decodeMonitor(o)
		if err != nil {
			r.add("%s: %v", o.ID(), err)
			continue
		}
		found := false
		for _, e := range ends(s) {
			if !selects(&m.Spec.Selector, e.labels) {
				continue
			}
			found = true
			if slices.Contains(program.Parts, e.name) {
				r.want(slices.Contains(m.Spec.PodTargetLabels, "app.kubernetes.io/name"), "%s: alerts name parts by app.kubernetes.io/name, which it does not take from pods", o.ID())
			}
			for _, endpoint := range m.Spec.PodMetricsEndpoints {
				there := slices.ContainsFunc(e.ports, func(p corev1.ContainerPort) bool { return p.Name == endpoint.Port })
				r.want(there, "%s: %s has no port %s", o.ID(), e.name, endpoint.Port)
				r.want(endpoint.Path == "" || endpoint.Path == "/metrics", "%s: %s answers nothing at %s", o.ID(), e.name, endpoint.Path)
			}
		}
		r.want(found, "%s: selects no pod", o.ID())
		r.want(len(m.Spec.PodMetricsEndpoints) > 0, "%s: asks nothing", o.ID())
	}
	return r
}

// compared is the number that an expression ends with.
var compared = regexp.MustCompile(`< (\d+)$`)

// Instances (O1): the alert about instances of the databases that are missing counts as many as the Cluster has.
func Instances(s *manifest.Set) []string {
	var r report
	eachAlert(s, func(name, expr string) {
		if name != "ConcordDatabaseInstanceMissing" {
			return
		}
		number := compared.FindStringSubmatch(expr)
		for _, o := range s.Of("Cluster") {
			instances, _ := o.At("spec", "instances").(float64)
			r.want(number != nil && number[1] == strconv.Itoa(int(instances)), "%s: %s of %v instances: %s", o.ID(), name, instances, expr)
		}
	})
	return r
}

// eachAlert calls f for each alert, with its expression.
func eachAlert(s *manifest.Set, f func(name, expr string)) {
	for _, o := range s.Of("PrometheusRule") {
		groups, _ := o.At("spec", "groups").([]any)
		for i := range groups {
			rules, _ := o.At("spec", "groups", i, "rules").([]any)
			for j := range rules {
				if name := text(o, "spec", "groups", i, "rules", j, "alert"); name != "" {
					f(name, text(o, "spec", "groups", i, "rules", j, "expr"))
				}
			}
		}
	}
}

// Watched (O1) wants an alert on each of the metrics.
func Watched(s *manifest.Set, wanted ...string) []string {
	var r report
	found := map[string]bool{}
	eachAlert(s, func(_, expr string) {
		for _, metric := range metrics(expr) {
			found[metric] = true
		}
	})
	for _, metric := range wanted {
		r.want(found[metric], "no alert asks for %s", metric)
	}
	return r
}
