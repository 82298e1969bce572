package kube

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/kube/manifest"
)

// The rules rest on what package manifest says that a container finds.
func TestContainersFindWhatTheKubeletGivesThem(t *testing.T) {
	s, err := manifest.Render("testdata", "pods")
	require.NoError(t, err)
	w := s.Workloads[0]
	c := w.Containers()[0]
	require.Equal(t, "web", manifest.Program(c))

	env := s.Env(c)
	require.Equal(t, map[string]string{
		"P_A": "one", "P_B": "two", "P_file.txt": "text", "B": "one-$(LATER)", "LATER": "last", "POD_NAME": "name", "FROM_KEY": "two",
	}, env.Values)
	require.Equal(t, map[string]string{"TOKEN": "secret"}, env.Secret)
	require.Equal(t, []string{"missing"}, env.Missing)

	for path, want := range map[string]manifest.Source{
		"/all/k":            {Kind: "Secret", Name: "secret", Key: "k"},
		"/all/some/renamed": {Kind: "Secret", Name: "chosen", Key: "k"},
		"/all/some/k":       {Kind: "Secret", Name: "chosen"},
		"/config/file.txt":  {Kind: "ConfigMap", Name: "settings", Key: "file.txt"},
		"/config/other":     {Kind: "ConfigMap", Name: "settings"},
		"/one.txt":          {Kind: "ConfigMap", Name: "settings", Key: "file.txt"},
		"/mixed/a":          {Kind: "Secret", Name: "secret", Key: "k"},
		"/mixed/file.txt":   {Kind: "ConfigMap", Name: "settings", Key: "file.txt"},
		"/mixed/none":       {Kind: "projected"},
		"/tmp/x":            {Kind: "emptyDir"},
		"/allother":         {},
		"/nowhere":          {},
	} {
		require.Equal(t, want, s.File(w, c, path), path)
	}
}

func TestEditChangesACopy(t *testing.T) {
	s, err := manifest.Render("testdata", "pods")
	require.NoError(t, err)
	changed, err := s.Edit("Deployment/web", "other", inMain("image")...)
	require.NoError(t, err)
	require.Equal(t, "other", changed.Workloads[0].Containers()[0].Image)
	require.NotEqual(t, "other", s.Workloads[0].Containers()[0].Image)
	for _, wrong := range []mistake{
		{object: "Deployment/none", path: at("spec"), value: 1},
		{object: "Deployment/web", path: inPod("containers", 7, "image"), value: "x"},
		{object: "Deployment/web", path: at("spec", "none"), value: gone},
		{object: "Deployment/web", path: at("kind", "below"), value: 1},
		{object: "Deployment/web", path: at("spec", "replicas"), value: "two"},
	} {
		_, err := s.Edit(wrong.object, wrong.value, wrong.path...)
		require.Error(t, err, wrong)
	}
}
