// Package rule says what the manifests of deploy/k8s must be like, beyond what any linter knows.
//
// A rule looks at one rendering and returns a line for each break, empty when it holds. The ids in comments (W2, P3, ...)
// are those of the checklist in docs/deploying.md. What the rules know of the suite they have from its programs.
package rule

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/program"
)

// Rule lists what is wrong in a rendering.
type Rule func(s *manifest.Set) []string

// OfPrograms is a rule that needs to know what the suite's programs take.
type OfPrograms func(s *manifest.Set, programs map[string]*program.Program) []string

// namespace is the one that everything lives in.
const namespace = "concord"

// report collects breaks.
type report []string

func (r *report) add(format string, args ...any) { *r = append(*r, fmt.Sprintf(format, args...)) }

// want adds a break unless it holds.
func (r *report) want(holds bool, format string, args ...any) {
	if !holds {
		r.add(format, args...)
	}
}

// eachContainer calls f for every container of every workload.
func eachContainer(s *manifest.Set, f func(w manifest.Workload, c corev1.Container, at string)) {
	for _, w := range s.Workloads {
		for _, c := range w.Containers() {
			f(w, c, w.ID()+" "+c.Name)
		}
	}
}

// selects tells whether a selector matches labels. A selector that cannot be read, or nil, matches nothing.
func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(set))
}

// is tells whether an optional field is there and has the value.
func is[T comparable](field *T, value T) bool { return field != nil && *field == value }
