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
