package trial

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Report prints what was done as it is done, and keeps what went wrong for the end.
type Report struct {
	out      io.Writer
	failures []string
}

// NewReport prints to out.
func NewReport(out io.Writer) *Report { return &Report{out: out} }

// Head begins a part of the report.
func (r *Report) Head(format string, args ...any) {
	fmt.Fprintf(r.out, "\n"+format+"\n", args...)
}

// Line prints what was seen of one thing.
func (r *Report) Line(what, format string, args ...any) {
	fmt.Fprintf(r.out, "  %-12s %s\n", what, fmt.Sprintf(format, args...))
}

// Fail prints what is wrong and with what.
func (r *Report) Fail(what, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(r.out, "  %-12s %s\n", "FAILED", text)
	r.failures = append(r.failures, what+": "+text)
}

// Failures are all that was wrong.
func (r *Report) Failures() []string { return r.failures }

// byKind counts objects: "2 ConfigMap, 1 Service".
func byKind(objects []*unstructured.Unstructured) string {
	count := map[string]int{}
	for _, object := range objects {
		count[object.GetKind()]++
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d %s", count[kind], kind))
	}
	return strings.Join(parts, ", ")
}
