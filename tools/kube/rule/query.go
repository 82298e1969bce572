package rule

import (
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/concord-suite/concord/tools/kube/manifest"
)

// everywhere are the labels that Prometheus' operator gives to what it asks pods for, and kube-state-metrics and the kubelets to
// what they know of a namespace.
var everywhere = []string{"namespace", "pod", "app_kubernetes_io_name"}

// asCode finds what stands as code in a line of a page.
var asCode = regexp.MustCompile("`([^`]+)`")

// words are those that stand as code in the lines of a page that name a metric, or the histogram that has the series: its labels
// and some of their values. Nil when no line does.
func words(page, metric string) []string {
	var found []string
	for line := range strings.Lines(page) {
		if strings.Contains(line, "`"+metric+"`") || strings.Contains(line, "`"+series.ReplaceAllString(metric, "")+"`") {
			for _, code := range asCode.FindAllStringSubmatch(line, -1) {
				found = append(found, code[1])
			}
		}
	}
	return found
}

// series end the names of those that one histogram has.
var series = regexp.MustCompile(`_(count|sum|bucket)$`)

// metrics are the names of the metrics in an expression; none when it is not PromQL.
func metrics(expression string) []string {
	var found []string
	if parsed, err := parser.ParseExpr(expression); err == nil {
		selectors(parsed, func(v *parser.VectorSelector) { found = append(found, v.Name) })
	}
	return found
}

// selectors calls f for each place in an expression where a metric is asked for.
func selectors(expression parser.Node, f func(*parser.VectorSelector)) {
	parser.Inspect(expression, func(n parser.Node, _ []parser.Node) error {
		if v, is := n.(*parser.VectorSelector); is {
			f(v)
		}
		return nil
	})
}

// query wants an expression to be PromQL, and the metrics in it to be known to the page, with the labels that they are chosen by. Of
// the suite's own metrics it wants the values to be known as well. It returns the labels of the result.
func (r *report) query(at, expression, page string) []string {
	parsed, err := parser.ParseExpr(expression)
	if err != nil {
		r.add("%s: is no PromQL: %v", at, err)
		return nil
	}
	selectors(parsed, func(v *parser.VectorSelector) {
		known := words(page, v.Name)
		r.want(known != nil, "%s: docs/metrics.md does not know %s", at, v.Name)
		for _, m := range v.LabelMatchers {
			if m.Name == labels.MetricName || slices.Contains(everywhere, m.Name) {
				continue
			}
			r.want(slices.Contains(known, m.Name), "%s: docs/metrics.md knows no label %s of %s", at, m.Name, v.Name)
			chosen := m.Type == labels.MatchEqual && strings.HasPrefix(v.Name, "concord_")
			r.want(!chosen || slices.Contains(known, m.Value), "%s: docs/metrics.md knows no %s %q of %s", at, m.Name, m.Value, v.Name)
		}
	})
	return r.result(at, parsed, page)
}

// result are the labels that a series of the expression's result has, and more words; it wants those that are grouped by to be there.
func (r *report) result(at string, expression parser.Expr, page string) []string {
	switch e := expression.(type) {
	case *parser.VectorSelector:
		return append(slices.Clone(everywhere), words(page, e.Name)...)
	case *parser.MatrixSelector:
		return r.result(at, e.VectorSelector, page)
	case *parser.SubqueryExpr:
		return r.result(at, e.Expr, page)
	case *parser.ParenExpr:
		return r.result(at, e.Expr, page)
	case *parser.AggregateExpr:
		inner := r.result(at, e.Expr, page)
		if e.Without {
			return slices.DeleteFunc(inner, func(name string) bool { return slices.Contains(e.Grouping, name) })
		}
		for _, name := range e.Grouping {
			r.want(slices.Contains(inner, name), "%s: groups by %s, which is not there", at, name)
		}
		return e.Grouping
	case *parser.BinaryExpr:
		left, right := r.result(at, e.LHS, page), r.result(at, e.RHS, page)
		switch {
		case e.Op == parser.LOR:
			return append(slices.Clone(left), right...)
		case e.LHS.Type() == parser.ValueTypeScalar:
			return right
		default:
			return left
		}
	case *parser.Call:
		for _, argument := range e.Args {
			if inner := r.result(at, argument, page); inner != nil {
				return inner
			}
		}
	}
	return nil
}

// told finds the labels that a sentence about an alert takes from its result.
var told = regexp.MustCompile(`\$labels\.(\w+)`)

// Alerts (O1, X5): every alert asks for metrics, and by labels, that the page knows, says how bad it is and what it means with labels
// that its result has, and links a place of a runbook that is there.
func Alerts(s *manifest.Set, page string, there func(page, anchor string) bool) []string {
	var r report
	for _, o := range s.Of("PrometheusRule") {
		groups, _ := o.At("spec", "groups").([]any)
		for i := range groups {
			rules, _ := o.At("spec", "groups", i, "rules").([]any)
			for j := range rules {
				rule := func(path ...any) string { return text(o, append([]any{"spec", "groups", i, "rules", j}, path...)...) }
				r.alert(o.ID()+" "+rule("alert")+rule("record"), rule, page, there)
			}
		}
	}
	return r
}

func (r *report) alert(at string, rule func(path ...any) string, page string, there func(page, anchor string) bool) {
	result := r.query(at, rule("expr"), page)
	if rule("alert") == "" {
		return
	}
	severity, summary := rule("labels", "severity"), rule("annotations", "summary")
	r.want(severity == "page" || severity == "ticket", "%s: severity %q is neither page nor ticket", at, severity)
	r.want(summary != "", "%s: summary", at)
	for _, name := range told.FindAllStringSubmatch(summary, -1) {
		r.want(slices.Contains(result, name[1]), "%s: says %s, which its result has not", at, name[1])
	}
	url := rule("annotations", "runbook_url")
	_, file, found := strings.Cut(url, "/docs/runbooks/")
	runbook, anchor, _ := strings.Cut(file, "#")
	r.want(found && there("docs/runbooks/"+runbook, anchor), "%s: no runbook at %q", at, url)
}
