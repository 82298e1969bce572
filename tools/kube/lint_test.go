package kube

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/concord-suite/concord/tools/kube/lint"
	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/schema"
)

func TestX1_EverythingRendersAndNothingIsFetched(t *testing.T) {
	w := open(t)
	require.Contains(t, w.sets, "overlays/production")
	require.Contains(t, w.sets, "overlays/small")
	foreign, err := manifest.Foreign(deploy)
	require.NoError(t, err)
	require.Empty(t, foreign)
	foreign, err = manifest.Foreign("testdata/foreign")
	require.NoError(t, err)
	require.Len(t, foreign, 3)
	_, err = manifest.Render("testdata", "broken")
	require.Error(t, err)
}

func TestX1_EveryComponentIsRenderedSomewhere(t *testing.T) {
	var used strings.Builder
	for folder := range open(t).sets {
		text, err := os.ReadFile(filepath.Join(deploy, folder, "kustomization.yaml"))
		require.NoError(t, err)
		used.Write(text)
	}
	components, err := os.ReadDir(filepath.Join(deploy, "components"))
	require.NoError(t, err)
	require.NotEmpty(t, components)
	for _, c := range components {
		require.Regexp(t, `(?m)^  - \.\./\.\./components/`+c.Name()+`( |$)`, used.String())
	}
}

// TestX1_WhatASiteSaysArrivesEverywhere looks, in combinations that say something else, for what the overlay for production
// says and for what stands in the components before a site fills it in.
func TestX1_WhatASiteSaysArrivesEverywhere(t *testing.T) {
	site := func(folder string) map[string]string {
		data, err := os.ReadFile(filepath.Join(deploy, folder, "site.yaml"))
		require.NoError(t, err)
		var config struct{ Data map[string]string }
		require.NoError(t, yaml.Unmarshal(data, &config))
		return config.Data
	}
	leftovers := func(s *manifest.Set) []string {
		own := site(s.Name)
		text, err := json.Marshal(s.Objects)
		require.NoError(t, err)
		found := []string{}
		for key, elsewhere := range site(production) {
			// Names of one word stand for more than one thing.
			said := own[key] != "" && own[key] != elsewhere && strings.ContainsAny(elsewhere, "./")
			if said && strings.Contains(string(text), elsewhere) {
				found = append(found, key+": "+elsewhere)
			}
		}
		if documentation := "192.0.2.0/24"; strings.Contains(string(text), documentation) {
			found = append(found, documentation)
		}
		return found
	}
	holds(t, leftovers)
	host := site(production)["host"]
	reportsIn(t, "tests/external", leftovers, mistake{"HTTPRoute/gateway", at("spec", "hostnames", 0), host, "host: " + host})
	reportsIn(t, "tests/external", leftovers, mistake{"NetworkPolicy/bus", at("spec", "egress", 0, "to", 0, "ipBlock", "cidr"), "192.0.2.0/24", "192.0.2.0/24"})
}

func TestX1_KubeconformFindsNoUnknownFieldOrKind(t *testing.T) {
	conformer, err := lint.NewConformer(open(t).schemas)
	require.NoError(t, err)
	conforms := func(s *manifest.Set) []string {
		breaks, err := conformer.Breaks(s)
		require.NoError(t, err)
		return breaks
	}
	holds(t, conforms)
	unknown := map[string]any{"apiVersion": "example.com/v1", "kind": "Unknown", "metadata": map[string]any{"name": "x"}}
	reports(t, conforms,
		mistake{"Deployment/auth", inPod("topologySpreadConstraints", 0, "maxSkw"), 1, "maxSkw"},
		mistake{"Certificate/auth", at("spec", "duration"), 7, "duration"},
		mistake{"Unknown/x", nil, unknown, "could not find schema"},
		mistake{"Certificate/auth", at("spec", "uri"), []string{"spiffe://concord/auth"}, "uri"},
		mistake{"HTTPRoute/gateway", at("spec", "hostnamez"), []string{"x.example"}, "hostnamez"},
	)
}

func TestX1_KubeScoreHasNothingToSay(t *testing.T) {
	score := func(s *manifest.Set) []string {
		breaks, err := lint.Score(s, "v1.36")
		require.NoError(t, err)
		// Without the component of policies nothing is closed; which renderings may be so is N1's to say.
		if len(s.Policies) == 0 {
			breaks = slices.DeleteFunc(breaks, func(line string) bool { return strings.Contains(line, "pod-networkpolicy") })
		}
		return breaks
	}
	holds(t, score)
	reports(t, score,
		mistake{"Deployment/auth", inMain("resources", "requests"), gone, "container-resources"},
		mistake{"Service/auth", at("spec", "type"), "NodePort", "service-type"},
		mistake{"Service/auth", at("spec", "selector", "app.kubernetes.io/name"), "x", "service-targets-pod"},
	)
	for id, reason := range lint.Ignored {
		require.NotEmpty(t, reason, id)
	}
}

func TestX3_NothingIsDeprecated(t *testing.T) {
	deprecated := func(s *manifest.Set) []string {
		var lines []string
		for _, o := range s.Objects {
			found, err := schema.Deprecated(open(t).schemas, o.APIVersion(), o.Kind(), o)
			if err != nil {
				lines = append(lines, o.ID()+": "+err.Error())
			}
			for _, field := range found {
				lines = append(lines, o.ID()+": deprecated: "+field)
			}
		}
		return lines
	}
	holds(t, deprecated)
	endpoints := map[string]any{"apiVersion": "v1", "kind": "Endpoints", "metadata": map[string]any{"name": "x"}}
	reports(t, deprecated,
		mistake{"Deployment/auth", inPod("serviceAccount"), "auth", "Deployment/auth: deprecated: spec.template.spec.serviceAccount"},
		mistake{"Endpoints/x", nil, endpoints, "Endpoints/x: deprecated"},
		mistake{"PodDisruptionBudget/auth", at("apiVersion"), "policy/v1beta1", "PodDisruptionBudget/auth"},
	)
}
