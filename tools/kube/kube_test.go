package kube

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/program"
	"github.com/concord-suite/concord/tools/kube/rule"
	"github.com/concord-suite/concord/tools/kube/schema"
)

// Paths are relative to this folder, in which go test runs the tests.
const (
	repository = "../.."
	deploy     = repository + "/deploy/k8s"
	bin        = repository + "/bin"
	cache      = repository + "/.cache/kube"
)

// world is what all tests look at, made once.
type world struct {
	sets     map[string]*manifest.Set // every rendering, by its folder
	programs map[string]*program.Program
	sources  schema.Sources
	schemas  string
}

var load = sync.OnceValues(func() (*world, error) {
	w := &world{sets: map[string]*manifest.Set{}}
	folders, err := manifest.Folders(deploy)
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		if w.sets[folder], err = manifest.Render(deploy, folder); err != nil {
			return nil, err
		}
	}
	if w.programs, err = program.Load(bin); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(cache)
	if err != nil {
		return nil, err
	}
	if w.sources, err = schema.Read(deploy + "/definitions.yaml"); err != nil {
		return nil, err
	}
	w.schemas, err = w.sources.Make(absolute)
	return w, err
})

func open(t *testing.T) *world {
	t.Helper()
	w, err := load()
	require.NoError(t, err)
	return w
}

// production is the rendering whose mistakes the negative cases make.
const production = "overlays/production"

// holds wants a rule to find nothing in any rendering.
func holds(t *testing.T, r rule.Rule) {
	t.Helper()
	for name, set := range open(t).sets {
		for _, line := range r(set) {
			t.Errorf("%s: %s", name, line)
		}
	}
}

// mistake is a change of the production overlay that a rule must report.
type mistake struct {
	object string // "Deployment/auth"
	path   []any
	value  any
	report string // a part of the line
}

// at is a path of keys and indexes.
func at(path ...any) []any { return path }

// inPod is a path in the pods of a workload.
func inPod(path ...any) []any { return append(at("spec", "template", "spec"), path...) }

// inMain is a path in the first container of a workload.
func inMain(path ...any) []any { return append(inPod("containers", 0), path...) }

// reports wants a rule to find each of the mistakes, made in the production overlay one at a time.
func reports(t *testing.T, r rule.Rule, mistakes ...mistake) {
	t.Helper()
	reportsIn(t, production, r, mistakes...)
}

func reportsIn(t *testing.T, folder string, r rule.Rule, mistakes ...mistake) {
	t.Helper()
	set := open(t).sets[folder]
	require.NotNil(t, set, folder)
	for _, m := range mistakes {
		changed, err := set.Edit(m.object, m.value, m.path...)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if lines := strings.Join(r(changed), "\n"); !strings.Contains(lines, m.report) {
			t.Errorf("%s %v = %v: reported %q, want %q", m.object, m.path, m.value, lines, m.report)
		}
	}
}

// gone removes what stands at the path.
var gone = manifest.Gone
