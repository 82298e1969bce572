package store_test

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/images/internal/maker"
	"github.com/concord-suite/concord/tools/images/internal/part"
	"github.com/concord-suite/concord/tools/images/internal/store"
)

// image is one of two platforms with content of no meaning.
func image(t *testing.T) *maker.Image {
	made := &maker.Image{Part: part.Part{Name: "auth"}, Index: mutate.IndexMediaType(empty.Index, types.OCIImageIndex)}
	for _, architecture := range []string{"amd64", "arm64"} {
		one, err := random.Image(1000, 2)
		require.NoError(t, err)
		platform := v1.Platform{OS: "linux", Architecture: architecture}
		made.Platforms = append(made.Platforms, maker.Platform{Platform: platform, Image: one, SBOM: []byte(`{"of":"` + architecture + `"}`)})
		made.Index = mutate.AppendManifests(made.Index, mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return made
}

func TestSavedImagesAreWholeLayouts(t *testing.T) {
	folder, made := t.TempDir(), image(t)
	require.NoError(t, store.Save(folder, "1.2.0", made))
	require.NoError(t, store.Save(folder, "1.2.0", made), "in place of what was there")

	index, err := layout.ImageIndexFromPath(filepath.Join(folder, "auth"))
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 3, "the image, and a list of contents for each platform")
	want, err := made.Index.Digest()
	require.NoError(t, err)
	require.Equal(t, want, manifest.Manifests[0].Digest)
	require.Equal(t, "1.2.0", manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"])

	list, err := os.ReadFile(filepath.Join(folder, "sbom", "auth-linux-arm64.spdx.json"))
	require.NoError(t, err)
	require.Equal(t, made.Platforms[1].SBOM, list)
}

// A registry answers by digest with what was built, and with the list of contents when it is asked what refers to it.
func TestPushedImagesHaveTheirListsOfContents(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	defer server.Close()
	prefix := strings.TrimPrefix(server.URL, "http://") + "/concord-suite/concord"
	made := image(t)
	require.NoError(t, store.Push(t.Context(), prefix, "1.2.0", made))

	repository, err := name.NewRepository(prefix + "/auth")
	require.NoError(t, err)
	pulled, err := remote.Index(repository.Tag("1.2.0"))
	require.NoError(t, err)
	want, err := made.Index.Digest()
	require.NoError(t, err)
	got, err := pulled.Digest()
	require.NoError(t, err)
	require.Equal(t, want, got)

	for _, p := range made.Platforms {
		of, err := p.Image.Digest()
		require.NoError(t, err)
		referrers, err := remote.Referrers(repository.Digest(of.String()))
		require.NoError(t, err)
		manifest, err := referrers.IndexManifest()
		require.NoError(t, err)
		require.Len(t, manifest.Manifests, 1)
		require.Equal(t, "application/spdx+json", manifest.Manifests[0].ArtifactType)

		list, err := remote.Image(repository.Digest(manifest.Manifests[0].Digest.String()))
		require.NoError(t, err)
		layers, err := list.Layers()
		require.NoError(t, err)
		content, err := layers[0].Compressed()
		require.NoError(t, err)
		data, err := io.ReadAll(content)
		require.NoError(t, err)
		require.Equal(t, p.SBOM, data)
	}
}
