package kube

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/concord-suite/concord/tools/kube/lint"
	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/rule"
)

// checklist are the ids of the table in docs/deploying.md: workloads, scheduling, probes, network, data, observability,
// delivery.
var checklist = []string{
	"W1", "W2", "W3", "W4", "W5", "W6",
	"S1", "S2", "S3", "S4", "S5", "S6", "S7",
	"P1", "P2", "P3", "P4",
	"N1", "N2", "N3", "N4", "N5", "N6",
	"D1", "D2", "D3", "D4", "D5", "D6",
	"O1", "O2",
	"X1", "X2", "X3", "X4", "X5",
}

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(repository + "/docs/deploying.md")
	require.NoError(t, err)
	return string(text)
}

var (
	row      = regexp.MustCompile(`(?m)^\| \*{0,2}([A-Z]\d)\*{0,2} \|(.*)$`)
	testName = regexp.MustCompile("`(Test\\w+)")
)

// TestX5_TheTableNamesEveryIDAndTestsThatExist also wants a row to have a test or a sentence in its last cell.
func TestX5_TheTableNamesEveryIDAndTestsThatExist(t *testing.T) {
	require.Empty(t, tableBreaks(page(t), tests(t)))
	broken := "| W1 | x | `TestW1_NoSuchTest` |\n| W2 | x | |\n"
	breaks := strings.Join(tableBreaks(broken, tests(t)), "\n")
	require.Contains(t, breaks, "W1: there is no TestW1_NoSuchTest")
	require.Contains(t, breaks, "W2: neither a test nor a reason")
	require.Contains(t, breaks, "X5: 0 rows")
}

func tableBreaks(page string, tests map[string]bool) []string {
	var breaks []string
	rows := map[string]int{}
	for _, found := range row.FindAllStringSubmatch(page, -1) {
		id, rest := found[1], strings.TrimSuffix(strings.TrimSpace(found[2]), "|")
		rows[id]++
		last := strings.TrimSpace(rest[strings.LastIndex(rest, "|")+1:])
		named := testName.FindAllStringSubmatch(rest, -1)
		for _, name := range named {
			if !tests[name[1]] {
				breaks = append(breaks, id+": there is no "+name[1])
			}
		}
		if len(named) == 0 && len(strings.Fields(last)) < 4 {
			breaks = append(breaks, id+": neither a test nor a reason")
		}
	}
	for _, id := range checklist {
		if rows[id] != 1 {
			breaks = append(breaks, id+": "+map[bool]string{true: "0", false: "several"}[rows[id] == 0]+" rows")
		}
	}
	return breaks
}

// tests are the names of all tests of the repository.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); strings.HasPrefix(name, ".") && name != ".." || name == "node_modules" || name == "gen" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, name := range declared.FindAllStringSubmatch(string(text), -1) {
			found[name[1]] = true
		}
		return err
	})
	require.NoError(t, err)
	require.Contains(t, found, t.Name())
	return found
}

func TestX4_SupportedVersionsAreThoseThatAreChecked(t *testing.T) {
	text := page(t)
	for module, version := range open(t).sources.Versions() {
		want := strings.TrimPrefix(version, "v")
		if module == "k8s.io/kubernetes" {
			want = want[:strings.LastIndex(want, ".")] // any patch of the minor version
		}
		require.Contains(t, text, want, module)
	}
	// The API server that everything is applied to is built from its module.
	built, err := os.ReadFile(repository + "/tools/kubeenv/go.mod")
	require.NoError(t, err)
	require.Contains(t, string(built), "k8s.io/kubernetes "+open(t).sources.Kubernetes.Version+"\n")
}

// TestX5_ThePageSaysTheNumbersOfTheManifests holds sentences against what they are about.
func TestX5_ThePageSaysTheNumbersOfTheManifests(t *testing.T) {
	text, set := page(t), open(t).sets[production]
	require.Contains(t, text, fmt.Sprintf("%d connections at most", rule.Connections(set, open(t).programs)))
	for _, o := range set.Of("ObjectStore") {
		days := strings.TrimSuffix(o.At("spec", "retentionPolicy").(string), "d")
		require.Contains(t, text, "any instant of "+days+" days")
	}
	for _, w := range set.Workloads {
		if w.Job != nil {
			require.Contains(t, text, fmt.Sprintf("Jobs give up %d minutes", *w.Job.Spec.ActiveDeadlineSeconds/60))
		}
		if w.Deployment != nil {
			require.Contains(t, text, fmt.Sprintf("*exceeded its progress deadline* after %d minutes", *w.Deployment.Spec.ProgressDeadlineSeconds/60))
		}
	}
	// What is said of credentials is what policies let pods do: the agent of EKS is at an address that none opens.
	require.Contains(t, text, "not by EKS Pod Identity, whose agent (169.254.170.23, plain HTTP) the policies close")
	for name, set := range open(t).sets {
		for _, p := range set.Policies {
			for _, out := range p.Spec.Egress {
				for _, to := range out.To {
					require.False(t, to.IPBlock != nil && strings.HasPrefix(to.IPBlock.CIDR, "169.254.170."), "%s: %s", name, p.Name)
				}
			}
		}
	}
}

func TestX5_ThePageLeadsFromInstallToUninstall(t *testing.T) {
	text := page(t)
	at := 0
	for _, heading := range []string{"## What it needs", "## Install", "## Verify", "## Upgrade", "## Roll back", "## Uninstall"} {
		next := strings.Index(text, "\n"+heading)
		require.Greater(t, next, at, heading)
		at = next
	}
}

// TestX4_TheOldestVersionsTakeTheManifests holds the renderings against what operators defined in the oldest versions that the page
// promises.
func TestX4_TheOldestVersionsTakeTheManifests(t *testing.T) {
	oldest := open(t).sources.Oldest()
	text := page(t)
	for _, d := range oldest.Definitions {
		if d.Version == d.Oldest.Version {
			require.Contains(t, text, "| "+strings.TrimSuffix(strings.TrimPrefix(d.Version, "v"), ".0")+" to ", d.Module)
		}
	}
	absolute, err := filepath.Abs(cache)
	require.NoError(t, err)
	made, err := oldest.Make(absolute)
	require.NoError(t, err)
	require.NotEqual(t, open(t).schemas, made)
	conformer, err := lint.NewConformer(made)
	require.NoError(t, err)
	holds(t, func(s *manifest.Set) []string {
		breaks, err := conformer.Breaks(s)
		require.NoError(t, err)
		return breaks
	})
}

// TestX4_SizesAreThoseOfTheManifests adds up what the page says that pods ask for.
func TestX4_SizesAreThoseOfTheManifests(t *testing.T) {
	text := page(t)
	small, large := sizes(t, "overlays/small"), sizes(t, production)
	for _, w := range open(t).sets[production].Workloads {
		if w.Deployment == nil {
			continue
		}
		c := w.Pod().Containers[0].Resources.Requests
		many := fmt.Sprint(large.least[w.Meta.Name])
		if most := large.most[w.Meta.Name]; most > large.least[w.Meta.Name] {
			many = fmt.Sprintf("%d to %d", large.least[w.Meta.Name], most)
		}
		require.Contains(t, text, fmt.Sprintf("| %s | %s, %s | %d | %s |", w.Meta.Name, c.Cpu(), c.Memory(), small.least[w.Meta.Name], many))
	}
	require.Contains(t, text, fmt.Sprintf("| together | | %s | %s; at most %s |", small.total(small.least), large.total(large.least), large.total(large.most)))
	one := map[string]int{}
	for name := range large.least {
		if large.parts[name] {
			one[name] = 1
		}
	}
	require.Contains(t, text, "needs "+strings.ReplaceAll(large.total(one), ", ", " and ")+" more")
}

// size is what the pods of a rendering ask for, by workload.
type size struct {
	cpu, memory map[string]float64 // of one pod: cores, Gi
	least, most map[string]int     // pods
	parts       map[string]bool    // which are the suite's own
}

func (s size) total(pods map[string]int) string {
	var cpu, memory float64
	for name, count := range pods {
		cpu, memory = cpu+s.cpu[name]*float64(count), memory+s.memory[name]*float64(count)
	}
	return fmt.Sprintf("%s CPU, %.1fGi", strconv.FormatFloat(cpu, 'f', -1, 64), math.Round(memory*10+1e-9)/10)
}

func sizes(t *testing.T, folder string) size {
	t.Helper()
	set := open(t).sets[folder]
	s := size{map[string]float64{}, map[string]float64{}, map[string]int{}, map[string]int{}, map[string]bool{}}
	put := func(name, cpu, memory string, pods int) {
		c, err := resource.ParseQuantity(cpu)
		require.NoError(t, err)
		m, err := resource.ParseQuantity(memory)
		require.NoError(t, err)
		s.cpu[name], s.memory[name], s.least[name], s.most[name] = c.AsApproximateFloat64(), m.AsApproximateFloat64()/(1<<30), pods, pods
	}
	for _, w := range set.Workloads {
		if !w.Serves() {
			continue
		}
		pods := 0
		if w.Replicas != nil {
			pods = int(*w.Replicas)
		}
		c := w.Pod().Containers[0].Resources.Requests
		put(w.Meta.Name, c.Cpu().String(), c.Memory().String(), pods)
		s.parts[w.Meta.Name] = w.Deployment != nil
	}
	for _, h := range set.Autoscalers {
		s.least[h.Name], s.most[h.Name] = int(*h.Spec.MinReplicas), int(h.Spec.MaxReplicas)
	}
	for _, o := range set.Of("Cluster") {
		text := func(key string) string { return o.At("spec", "resources", "requests", key).(string) }
		put(o.Name(), text("cpu"), text("memory"), int(o.At("spec", "instances").(float64)))
	}
	return s
}
