//go:build rolling

package rolling

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// table prints rows, the first of which are its heads.
func table(rows [][]string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	fmt.Println()
}

// report prints what clients noticed in some phases, a line for each, and answers how many requests failed.
func (l *load) report(head string, phases []string, restarts map[string]int) (failed int) {
	rows := [][]string{{head, "requests", "failed", "slowest", "restarts"}}
	var why []string
	for _, phase := range phases {
		c := l.of(phase, "")
		failed += c.failed
		rows = append(rows, []string{phase, fmt.Sprint(c.requests), fmt.Sprint(c.failed), short(c.slowest), fmt.Sprint(restarts[phase])})
		for _, reason := range slices.Sorted(maps.Keys(c.reasons)) {
			why = append(why, fmt.Sprintf("%s: %d x %s", phase, c.reasons[reason], reason))
		}
	}
	table(rows)
	for _, line := range why {
		fmt.Println(line)
	}
	return failed
}

// kindsReport prints the same by what clients did.
func (l *load) kindsReport() {
	rows := [][]string{{"what clients did", "requests", "failed", "slowest"}}
	for _, k := range l.kinds {
		c := l.of("", k.name)
		rows = append(rows, []string{k.name, fmt.Sprint(c.requests), fmt.Sprint(c.failed), short(c.slowest)})
	}
	table(rows)
}

func short(d time.Duration) string { return d.Round(time.Millisecond).String() }
