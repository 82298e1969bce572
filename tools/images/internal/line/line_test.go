package line_test

import (
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/images/internal/line"
	"github.com/concord-suite/concord/tools/images/internal/maker"
	"github.com/concord-suite/concord/tools/images/internal/part"
	"github.com/concord-suite/concord/tools/images/internal/promise"
	"github.com/concord-suite/concord/tools/images/internal/trial"
)

func TestMain(m *testing.M) {
	trial.Enter()
	os.Exit(m.Run())
}

// tiny is a program that says what it finds where it runs.
func tiny() part.Part {
	return part.Part{Name: "tiny", Dir: "tiny", Package: "github.com/concord-suite/concord/tiny/cmd/tiny", Title: "a program to try images with"}
}

func makeTiny(t *testing.T, root string, platforms ...string) *maker.Image {
	t.Setenv("GOWORK", "off")
	image, err := maker.Maker{Root: root, Version: "1.2.0", Platforms: platforms}.Make(t.Context(), tiny())
	require.NoError(t, err)
	return image
}

// subject is what is asked of a platform of tiny.
func subject(p maker.Platform) promise.Subject {
	return promise.Subject{Part: tiny(), Platform: p.Platform, Version: "1.2.0", Image: p.Image, SBOM: p.SBOM}
}

func TestImagesKeepTheirPromises(t *testing.T) {
	root, err := filepath.Abs("testdata/repo")
	require.NoError(t, err)
	image := makeTiny(t, root, "linux/amd64", "linux/arm64")
	require.Len(t, image.Platforms, 2)
	for _, p := range image.Platforms {
		s := subject(p)
		s.Places = []string{root, os.TempDir() + "/"}
		facts, broken, err := promise.Check(s)
		require.NoError(t, err)
		require.Empty(t, broken, p.Platform)
		require.Equal(t, 2, facts.Packages, "the program's module and the one that it links")
		require.Positive(t, facts.Size)
	}
	manifest, err := image.Index.IndexManifest()
	require.NoError(t, err)
	require.Equal(t, "linux/amd64", manifest.Manifests[0].Platform.String())
	require.Equal(t, "linux/arm64", manifest.Manifests[1].Platform.String())
}

// The same sources give the same image: from another folder, with nothing cached, in an environment that asks for another
// program.
func TestImagesAreTheSameElsewhere(t *testing.T) {
	first := makeTiny(t, "testdata/repo", "linux/amd64")

	elsewhere := filepath.Join(t.TempDir(), "another place")
	require.NoError(t, os.CopyFS(elsewhere, os.DirFS("testdata/repo")))
	t.Setenv("GOCACHE", t.TempDir())
	for key, value := range map[string]string{
		"TZ": "Pacific/Auckland", "SOURCE_DATE_EPOCH": "1700000000", "GOAMD64": "v3", "CGO_ENABLED": "1", "GOFLAGS": "-tags=other -buildvcs=true",
	} {
		t.Setenv(key, value)
	}
	second := makeTiny(t, elsewhere, "linux/amd64")
	require.Equal(t, digest(t, first.Index), digest(t, second.Index))
	require.Equal(t, string(first.Platforms[0].SBOM), string(second.Platforms[0].SBOM))

	// And another version is another image.
	third, err := maker.Maker{Root: elsewhere, Version: "1.2.1", Platforms: []string{"linux/amd64"}}.Make(t.Context(), tiny())
	require.NoError(t, err)
	require.NotEqual(t, digest(t, first.Index), digest(t, third.Index))
}

func digest(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	d, err := of.Digest()
	require.NoError(t, err)
	return d.String()
}

func TestUnknownPartsAndVersionsAreRefused(t *testing.T) {
	job := line.Job{Root: "testdata/repo", Out: t.TempDir(), Version: maker.Devel}
	require.ErrorContains(t, job.Do(t.Context(), os.Stdout, "auth,sink", []string{"linux/amd64"}, false), `no part "sink"`)
	job.Version = "v1.2.0"
	require.ErrorContains(t, job.Do(t.Context(), os.Stdout, "auth", []string{"linux/amd64"}, false), "no version of a release")
}
