package kube

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/kube/manifest"
)

// TestD1_TheScriptMakesEverySecretThatPodsWaitFor runs deploy/k8s/secrets/make.sh as the page says: what the overlay for a
// trial needs and no operator makes is there, readable by its owner only, and stays as it is when the script is called again.
func TestD1_TheScriptMakesEverySecretThatPodsWaitFor(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "made")
	programs, err := filepath.Abs(bin)
	require.NoError(t, err)
	call := func() {
		cmd := exec.Command("sh", deploy+"/secrets/make.sh", dir)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "BIN=" + programs}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	call()
	keys := contents(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "auth", "mail_password"), []byte("word"), 0o600))
	call()
	for file, text := range keys {
		if filepath.Base(file) != "kustomization.yaml" {
			require.Equal(t, text, contents(t, dir)[file], "%s has changed", file)
		}
	}
	made, err := manifest.Render(root, "made")
	require.NoError(t, err)
	set := open(t).sets["overlays/small"]
	for _, w := range set.Workloads {
		for _, v := range w.Pod().Volumes {
			switch {
			case v.Secret != nil && (strings.HasSuffix(v.Secret.SecretName, "-secrets") || strings.HasSuffix(v.Secret.SecretName, "-database")):
				require.True(t, made.Has("Secret", v.Secret.SecretName), v.Secret.SecretName)
			case v.ConfigMap != nil && !set.Has("ConfigMap", v.ConfigMap.Name):
				require.True(t, made.Has("ConfigMap", v.ConfigMap.Name), v.ConfigMap.Name)
			}
		}
	}
	at := slices.IndexFunc(made.Objects, func(o manifest.Object) bool { return o.ID() == "Secret/auth-secrets" })
	for _, key := range []string{"identity.key", "keyring", "mail_password"} {
		require.NotEmpty(t, made.Objects[at].At("data", key), key)
	}
	trust, _ := made.ConfigMapText("concord-trust", "trust.json")
	for _, part := range []string{"auth", "connector", "sync", "documents", "gateway"} {
		require.Contains(t, trust, `"`+part+`"`)
	}
}

// contents are the files below a folder, none of which anybody else may read.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, path)
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	}))
	return all
}
