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
	// What others gave: each setting that is a secret may name a file, and the files are whatever the overlay calls them.
	given := []string{"mail_password", "keyring_kms", "sms_webhook_secret"}
	for _, name := range given {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "auth", name), []byte("word"), 0o600))
	}
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
	for _, key := range append(given, "identity.key", "keyring") {
		require.NotEmpty(t, made.Objects[at].At("data", key), key)
	}
	trust, _ := made.ConfigMapText("concord-trust", "trust.json")
	for _, part := range []string{"auth", "connector", "sync", "documents", "gateway"} {
		require.Contains(t, trust, `"`+part+`"`)
	}
}

// TestD1_TheScriptKeepsWhatIsThere: addresses of databases outside of the cluster, with their authority, and another namespace are what
// they were after a call that says nothing of them; and one that says something else is told so.
func TestD1_TheScriptKeepsWhatIsThere(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "made")
	programs, err := filepath.Abs(bin)
	require.NoError(t, err)
	call := func(environ ...string) (string, error) {
		cmd := exec.Command("sh", deploy+"/secrets/make.sh", dir)
		cmd.Env = append([]string{"PATH=/usr/bin:/bin", "BIN=" + programs}, environ...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	outside := []string{"DATABASE_HOST=db.example.com", "DATABASE_CA=/etc/concord/database/ca.crt", "NAMESPACE=ours"}
	out, err := call(outside...)
	require.NoError(t, err, out)
	authority := filepath.Join(dir, "auth-database", "ca.crt")
	require.NoError(t, os.WriteFile(authority, []byte("authority"), 0o600))
	for _, environ := range [][]string{outside, nil} {
		before := contents(t, dir)
		out, err := call(environ...)
		require.NoError(t, err, out)
		after := contents(t, dir)
		if environ != nil { // the first time the authority is new there
			delete(before, filepath.Join(dir, "kustomization.yaml"))
			delete(after, filepath.Join(dir, "kustomization.yaml"))
		}
		require.Equal(t, before, after)
	}
	stray := filepath.Join(dir, "auth", "mail_password~")
	require.NoError(t, os.WriteFile(stray, nil, 0o600))
	out, err = call()
	require.Error(t, err)
	require.Contains(t, out, "auth/mail_password~: no Secret can have a key of this name")
	require.NoError(t, os.Remove(stray))
	out, err = call("DATABASE_HOST=other.example.com")
	require.Error(t, err)
	require.Contains(t, out, "auth-database/uri is there and is another one: remove it")

	made, err := manifest.Render(root, "made")
	require.NoError(t, err)
	at := slices.IndexFunc(made.Objects, func(o manifest.Object) bool { return o.ID() == "Secret/auth-database" })
	require.NotEmpty(t, made.Objects[at].At("data", "ca.crt"), "what pods read the authority from")
	require.Equal(t, "ours", made.Objects[at].At("metadata", "namespace"))
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
