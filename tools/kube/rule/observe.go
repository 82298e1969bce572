package rule

import (
	"regexp"
	"slices"
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
		for _, name := range []string{"service.instance.id", "k8s.pod.name", "k8s.namespace.name"} {
			r.want(strings.Contains(attributes, name+"="), "%s: OTEL_RESOURCE_ATTRIBUTES lacks %s", w.ID(), name)
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

// Monitors (O1): a monitor selects the pods of something, and asks a port that they have.
func Monitors(s *manifest.Set) []string {
	var r report
	for _, o := range s.Of("PodMonitor") {
		var m struct {
			Spec struct {
				Selector            metav1.LabelSelector
				PodMetricsEndpoints []struct{ Port string }
			}
		}
		if err := o.Decode(&m); err != nil {
			r.add("%s: %v", o.ID(), err)
			continue
		}
		found := false
		for _, e := range ends(s) {
			if !selects(&m.Spec.Selector, e.labels) {
				continue
			}
			found = true
			for _, endpoint := range m.Spec.PodMetricsEndpoints {
				there := slices.ContainsFunc(e.ports, func(p corev1.ContainerPort) bool { return p.Name == endpoint.Port })
				r.want(there, "%s: %s has no port %s", o.ID(), e.name, endpoint.Port)
			}
		}
		r.want(found, "%s: selects no pod", o.ID())
	}
	return r
}

// How names of metrics look in PromQL, and what is left out before they are looked for.
var (
	metric    = regexp.MustCompile(`\b(concord|nats|gnatsd|jetstream|cnpg|process|go|rpc|http|db)_[a-z0-9_]+\b`)
	inBraces  = regexp.MustCompile(`\{[^}]*\}|"[^"]*"`)
	grouping  = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	anchorEnd = regexp.MustCompile(`#.*$`)
)

// Alerts (O1, X5): every alert uses metrics that documented names, says how bad it is and what it means, and links a runbook
// that exists tells of.
func Alerts(s *manifest.Set, documented string, exists func(page string) bool) []string {
	var r report
	for _, o := range s.Of("PrometheusRule") {
		groups, _ := o.At("spec", "groups").([]any)
		for i := range groups {
			rules, _ := o.At("spec", "groups", i, "rules").([]any)
			for j := range rules {
				rule := func(path ...any) string { return text(o, append([]any{"spec", "groups", i, "rules", j}, path...)...) }
				r.alert(o.ID()+" "+rule("alert")+rule("record"), rule, documented, exists)
			}
		}
	}
	return r
}

func (r *report) alert(at string, rule func(path ...any) string, documented string, exists func(page string) bool) {
	expression := grouping.ReplaceAllString(inBraces.ReplaceAllString(rule("expr"), ""), "")
	for _, name := range metric.FindAllString(expression, -1) {
		r.want(strings.Contains(documented, "`"+name+"`"), "%s: docs/metrics.md does not know %s", at, name)
	}
	if rule("alert") == "" {
		return
	}
	r.want(rule("labels", "severity") != "", "%s: severity", at)
	r.want(rule("annotations", "summary") != "", "%s: summary", at)
	page := rule("annotations", "runbook_url")
	_, file, found := strings.Cut(page, "/docs/runbooks/")
	r.want(found && exists("docs/runbooks/"+anchorEnd.ReplaceAllString(file, "")), "%s: no runbook at %q", at, page)
}
