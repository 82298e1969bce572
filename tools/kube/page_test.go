package kube

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/concord-suite/concord/tools/kube/lint"
	"github.com/concord-suite/concord/tools/kube/manifest"
)

// copied makes overlays/ours of production, as the page says, with more at the end of its kustomization, and returns where deploy/k8s is.
func copied(t *testing.T, more string) (root string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir()) // kustomize goes astray by links
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(root, os.DirFS(deploy)))
	ours := filepath.Join(root, "overlays", "ours")
	require.NoError(t, os.RemoveAll(ours), "somebody's own, made as the page says")
	require.NoError(t, os.CopyFS(ours, os.DirFS(filepath.Join(deploy, production))))
	file, err := os.OpenFile(filepath.Join(ours, "kustomization.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(more)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return root
}

// block is the part of the page between fences that has the text in it, without what it is indented by.
func block(t *testing.T, language, text string) string {
	t.Helper()
	for _, found := range regexp.MustCompile("(?ms)^( *)```"+language+"\n(.*?)^ *```$").FindAllStringSubmatch(page(t), -1) {
		if strings.Contains(found[2], text) {
			return regexp.MustCompile("(?m)^"+found[1]).ReplaceAllString(found[2], "")
		}
	}
	t.Fatalf("the page has no %s with %q", language, text)
	return ""
}

// TestX5_AnotherNamespaceIsWhatThePageSays runs the page's sed over what production renders to in another namespace.
func TestX5_AnotherNamespaceIsWhatThePageSays(t *testing.T) {
	root := copied(t, "namespace: ours\n")
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "overlays", "ours"))
	require.NoError(t, err)
	rendered, err := made.AsYaml()
	require.NoError(t, err)
	command := regexp.MustCompile(`(?s)\| (sed -e .*)\\\n *\| kubectl apply`).FindStringSubmatch(block(t, "console", "| sed -e"))
	require.NotNil(t, command)
	sed := exec.Command("sh", "-c", command[1])
	sed.Stdin = bytes.NewReader(rendered)
	out, err := sed.Output()
	require.NoError(t, err)
	require.Contains(t, string(rendered), `namespace="concord"`, "kustomize does not reach there")
	require.NotContains(t, string(out), `namespace="concord"`)
	require.NotRegexp(t, `(?m)\.concord(\.svc.*)?$`, string(out))

	require.NoError(t, os.WriteFile(filepath.Join(root, "all.yaml"), out, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(root, "kustomization.yaml"), []byte("resources: [all.yaml]\n"), 0o600))
	set, err := manifest.Render(root, ".")
	require.NoError(t, err)
	for _, o := range set.Objects {
		want := "ours"
		if slices.Contains([]string{"Namespace", "PriorityClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}, o.Kind()) {
			want = ""
		}
		require.Equal(t, want, o.Namespace(), o.ID())
		if o.Kind() == "ValidatingAdmissionPolicyBinding" {
			require.Equal(t, "ours", o.At("spec", "matchResources", "namespaceSelector", "matchLabels", "kubernetes.io/metadata.name"))
		}
	}
	require.True(t, set.Has("Namespace", "ours"))
}

// TestD5_TheDatabasesAreMadeFromTheirBackups: with the page's patch the Cluster has one way to begin, that is known, and its own backups
// go elsewhere.
func TestD5_TheDatabasesAreMadeFromTheirBackups(t *testing.T) {
	set, err := manifest.Render(copied(t, block(t, "yaml", "recovery:")), "overlays/ours")
	require.NoError(t, err)
	conformer, err := lint.NewConformer(open(t).schemas)
	require.NoError(t, err)
	breaks, err := conformer.Breaks(set)
	require.NoError(t, err)
	require.Empty(t, breaks)
	at := slices.IndexFunc(set.Objects, func(o manifest.Object) bool { return o.ID() == "Cluster/postgres" })
	cluster := set.Objects[at]
	require.Len(t, cluster.At("spec", "bootstrap"), 1, "the operator refuses two ways to begin")
	from := cluster.At("spec", "externalClusters", 0)
	require.Equal(t, cluster.At("spec", "bootstrap", "recovery", "source"), from.(map[string]any)["name"])
	require.NotEqual(t, cluster.At("spec", "externalClusters", 0, "plugin", "parameters", "serverName"),
		cluster.At("spec", "plugins", 0, "parameters", "serverName"), "the backups that it came from are not written over")
}

// TestD5_ADrillStartsNoPart: parts on a copy of the databases would do what the real ones do, with the same grants and bytes.
func TestD5_ADrillStartsNoPart(t *testing.T) {
	root := copied(t, block(t, "yaml", "recovery:")+block(t, "yaml", "count: 0")+"namespace: drill\n")
	set, err := manifest.Render(root, "overlays/ours")
	require.NoError(t, err)
	deployments := set.Of("Deployment")
	require.Len(t, deployments, 5)
	for _, o := range deployments {
		require.EqualValues(t, 0, o.At("spec", "replicas"), o.ID())
	}
}

// TestX5_ImagesOfAnotherRegistry: the lines that the page adds to an overlay name every image's registry, and keep the digests.
func TestX5_ImagesOfAnotherRegistry(t *testing.T) {
	lines := regexp.MustCompile(`(?s)\$ (\(echo images:.*done\)) >>`).FindStringSubmatch(block(t, "console", "echo images:"))
	require.NotNil(t, lines)
	out, err := exec.Command("sh", "-c", lines[1]).Output()
	require.NoError(t, err)
	set, err := manifest.Render(copied(t, string(out)+block(t, "yaml", "imagePullSecrets")), "overlays/ours")
	require.NoError(t, err)
	for _, w := range set.Workloads {
		require.Regexp(t, `^registry\.example\.com/concord/[a-z]+@sha256:[0-9a-f]{64}$`, w.Pod().Containers[0].Image)
	}
}

// TestX5_ClassesOfVolumesAreWhatThePageSays: the page's patches are taken, and give every claim a class.
func TestX5_ClassesOfVolumesAreWhatThePageSays(t *testing.T) {
	set, err := manifest.Render(copied(t, block(t, "yaml", "storageClassName")), "overlays/ours")
	require.NoError(t, err)
	conformer, err := lint.NewConformer(open(t).schemas)
	require.NoError(t, err)
	breaks, err := conformer.Breaks(set)
	require.NoError(t, err)
	require.Empty(t, breaks)
	for kind, path := range map[string][]any{
		"PersistentVolumeClaim": {"spec", "storageClassName"},
		"StatefulSet":           {"spec", "volumeClaimTemplates", 0, "spec", "storageClassName"},
		"Cluster":               {"spec", "walStorage", "storageClass"},
	} {
		require.Len(t, set.Of(kind), 1)
		require.NotEmpty(t, set.Of(kind)[0].At(path...), kind)
	}
}

// TestD6_HowToKeepVolumesStandsBeforeWhatRemovesThem, as people stop reading at the command that they came for.
func TestD6_HowToKeepVolumesStandsBeforeWhatRemovesThem(t *testing.T) {
	for _, heading := range []string{"## Uninstall", "## Back up and restore"} {
		_, text, _ := strings.Cut(page(t), heading+"\n")
		kept := regexp.MustCompile(`"Retain"|\[stay\]\(#uninstall\)`).FindStringIndex(text)
		removed := regexp.MustCompile(`kubectl (delete -k|-n concord delete cluster)`).FindStringIndex(text)
		require.True(t, kept != nil && removed != nil && kept[0] < removed[0], heading)
	}
}

// jobsAgain is how the Jobs of a release are made again: a Job that has run is not changed, and not run once more, by an apply.
const jobsAgain = "kubectl -n concord delete job -l app.kubernetes.io/component=migration"

// TestD2_WhatNeedsTheJobsAgainSaysSo: after a restore nothing else makes the streams of an emptied bus, and the schema of this release
// in databases of an earlier one; components that change the Jobs are refused where those have run.
func TestD2_WhatNeedsTheJobsAgainSaysSo(t *testing.T) {
	runbook, err := os.ReadFile(repository + "/docs/runbooks/certificates.md")
	require.NoError(t, err)
	alerts, err := os.ReadFile(repository + "/docs/runbooks/alerts.md")
	require.NoError(t, err)
	for heading, text := range map[string]string{"## Back up and restore": page(t), "## Replace the authority": string(runbook), "## ConcordBusUnreachable": string(alerts)} {
		_, text, found := strings.Cut(text, heading+"\n")
		require.True(t, found, heading)
		text, _, _ = strings.Cut(text, "\n## ")
		removed := strings.Index(text, jobsAgain)
		require.Positive(t, removed, heading)
		require.NotRegexp(t, "kubectl apply --server-side.* -k", text[:removed], heading)
		require.Contains(t, text[removed:], "apply", heading)
	}

	var change []string
	components, err := filepath.Glob(deploy + "/components/*/kustomization.yaml")
	require.NoError(t, err)
	for _, file := range components {
		var component struct {
			Patches []struct{ Target struct{ Kind string } }
		}
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(data, &component))
		name := filepath.Base(filepath.Dir(file))
		for _, patch := range component.Patches {
			kind := regexp.MustCompile("^(" + patch.Target.Kind + ")$")
			if kind.MatchString("Job") && name != "release" && !slices.Contains(change, "`"+name+"`") { // that gives them other names
				change = append(change, "`"+name+"`")
			}
		}
	}
	require.NotEmpty(t, change)
	last := len(change) - 1
	require.Contains(t, page(t), "(the components "+strings.Join(change[:last], ", ")+" and "+change[last])
}
