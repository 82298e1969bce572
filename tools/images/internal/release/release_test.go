package release_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/images/internal/part"
	"github.com/concord-suite/concord/tools/images/internal/release"
	"github.com/concord-suite/concord/tools/images/internal/store"
)

// pinned has a digest for every part.
func pinned() release.Pinned {
	p := release.Pinned{Version: "1.2.0-rc.1", Go: "go1.26.8", Digests: map[string]string{}}
	for i, one := range part.All() {
		p.Digests[one.Name] = fmt.Sprintf("sha256:%064x", i+1)
	}
	return p
}

func TestComponentOfThisRepository(t *testing.T) {
	wrong, err := release.Check("../../../..")
	require.NoError(t, err)
	require.Empty(t, wrong)
}

func TestComponentPinsEveryPart(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, pinned().Write(root))
	wrong, err := release.Check(root)
	require.NoError(t, err)
	require.Empty(t, wrong)

	data, err := os.ReadFile(filepath.Join(root, release.File))
	require.NoError(t, err)
	for _, one := range part.All() {
		require.Contains(t, string(data), "newName: ghcr.io/concord-suite/concord/"+one.Name+"\n    digest: "+pinned().Digests[one.Name])
	}
	require.Contains(t, string(data), "value: auth-migrate-1-2-0-rc-1}")
	require.NotContains(t, string(data), "gateway-migrate")
}

func TestComponentIsRefused(t *testing.T) {
	digest := strings.TrimPrefix(pinned().Digests["sync"], "sha256:")
	for name, c := range map[string]struct{ from, to, says string }{
		"short digest":    {digest, digest[1:], "sync has no digest"},
		"capitals":        {digest, "A" + digest[1:], "sync has no digest"},
		"tag":             {"digest: sha256:" + digest, "newTag: latest", "comes from"},
		"other registry":  {part.Registry + "/sync", "docker.io/sync", "comes from docker.io/sync"},
		"unknown image":   {"concord/sync\n", "concord/sink\n", "concord/sink is no image of the suite"},
		"twice the same":  {pinned().Digests["auth"], pinned().Digests["sync"], "have the same digest"},
		"left out":        {"  - name: concord/sync\n    newName: " + part.Registry + "/sync\n    digest: sha256:" + digest + "\n", "", "sync has no digest"},
		"job's old name":  {"auth-migrate-1-2-0-rc-1", "auth-migrate-1-1-0", "not as the program writes it"},
		"version with v":  {`version: "1.2.0-rc.1"`, `version: "v1.2.0-rc.1"`, "is no version"},
		"other version":   {`version: "1.2.0-rc.1"`, `version: "1.2.1"`, "not as the program writes it"},
		"written by hand": {"kind: Component\n", "kind: Component\n# but for now\n", "not as the program writes it"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			require.NoError(t, pinned().Write(root))
			file := filepath.Join(root, release.File)
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Contains(t, string(data), c.from)
			require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(data), c.from, c.to)), 0o600))
			wrong, err := release.Check(root)
			require.NoError(t, err)
			require.Contains(t, strings.Join(wrong, "\n"), c.says)
		})
	}
}

func TestReleaseOfSomePartsIsRefused(t *testing.T) {
	p := pinned()
	delete(p.Digests, "nats")
	require.ErrorContains(t, p.Write(t.TempDir()), "nats has no digest")
}

func TestVersions(t *testing.T) {
	for _, v := range []string{"0.1.0", "1.2.3", "10.0.0-rc.1", "1.0.0-alpha"} {
		require.NoError(t, release.CheckVersion(v), v)
	}
	for _, v := range []string{"", "1", "1.2", "v1.2.3", "1.2.3+4", "1.2.3-RC.1", "01.2.3", "1.2.3 ", "devel", "1.0.0-" + strings.Repeat("a", 40)} {
		require.Error(t, release.CheckVersion(v), v)
	}
}

func TestReadTakesWhatTheBuilderWrites(t *testing.T) {
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"
	file := filepath.Join(t.TempDir(), "digests.json")
	write := func(platforms ...store.One) {
		require.NoError(t, store.Digests{Version: "1.0.0", Go: "go1.26.8", Images: []store.Built{{
			Part: "auth", Digest: v1.Hash{Algorithm: "sha256", Hex: strings.TrimPrefix(digest, "sha256:")}, Platforms: platforms,
		}}}.Write(filepath.Dir(file)))
	}
	write(store.One{Platform: "linux/amd64"}, store.One{Platform: "linux/arm64"})
	p, err := release.Read(file)
	require.NoError(t, err)
	require.Equal(t, release.Pinned{Version: "1.0.0", Go: "go1.26.8", Digests: map[string]string{"auth": digest}}, p)

	write(store.One{Platform: "linux/amd64"})
	_, err = release.Read(file)
	require.ErrorContains(t, err, "auth was built for linux/amd64: a release is for linux/amd64,linux/arm64")
}
