package line_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/images/internal/licence"
	"github.com/concord-suite/concord/tools/images/internal/maker"
	"github.com/concord-suite/concord/tools/images/internal/part"
	"github.com/concord-suite/concord/tools/images/internal/promise"
)

// TestBrokenPromisesAreSeen breaks each promise in an image that keeps them all.
func TestBrokenPromisesAreSeen(t *testing.T) {
	whole := makeTiny(t, "testdata/repo", "linux/amd64").Platforms[0]
	for name, c := range map[string]struct {
		spoil func(*testing.T, *promise.Subject)
		says  string
	}{
		"root runs it":       {configured(func(c *v1.ConfigFile) { c.Config.User = "" }), `the user is "" and not "65532:65532"`},
		"a name runs it":     {configured(func(c *v1.ConfigFile) { c.Config.User = "nonroot" }), "the user is"},
		"another program":    {configured(func(c *v1.ConfigFile) { c.Config.Entrypoint = []string{"/bin/sh"} }), "the entry point is"},
		"a command":          {configured(func(c *v1.ConfigFile) { c.Config.Cmd = []string{"serve"} }), "the command is"},
		"another platform":   {configured(func(c *v1.ConfigFile) { c.Architecture = "arm64" }), "the platform is"},
		"another version":    {func(_ *testing.T, s *promise.Subject) { s.Version = "1.2.1" }, "the version is"},
		"no licence":         {configured(func(c *v1.ConfigFile) { delete(c.Config.Labels, "org.opencontainers.image.licenses") }), "the licence is"},
		"a date":             {configured(func(c *v1.ConfigFile) { c.Created.Time = c.Created.AddDate(50, 0, 0) }), "says when it was made"},
		"a port":             {configured(func(c *v1.ConfigFile) { c.Config.ExposedPorts = map[string]struct{}{"80/tcp": {}} }), "volumes and ports"},
		"a setting":          {configured(func(c *v1.ConfigFile) { c.Config.Env = append(c.Config.Env, "CONCORD_INSECURE=1") }), "it sets CONCORD_INSECURE"},
		"a shell":            {added(tar.Header{Name: "bin/sh", Mode: 0o555}), "/bin/sh should not be there"},
		"a link":             {added(tar.Header{Name: "bin/sh", Typeflag: tar.TypeSymlink, Linkname: "/ko-app/tiny"}), "/bin/sh is no file"},
		"other authorities":  {added(tar.Header{Name: "etc/ssl/certs/ca-certificates.crt", Mode: 0o444}), "is not the base's"},
		"a right":            {added(tar.Header{Name: "etc/passwd", Mode: 0o4444}), "/etc/passwd has the mode"},
		"all may write":      {added(tar.Header{Name: "etc", Mode: 0o777, Typeflag: tar.TypeDir}), "/etc has the mode"},
		"some may not read":  {added(tar.Header{Name: "etc/group", Mode: 0o400}), "/etc/group"},
		"its user's":         {added(tar.Header{Name: "etc", Mode: 0o755, Typeflag: tar.TypeDir, Uid: 65532}), "/etc does not belong to root"},
		"capabilities":       {added(tar.Header{Name: "etc", Mode: 0o755, Typeflag: tar.TypeDir, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "x"}}), "has the attribute"},
		"no program":         {func(_ *testing.T, s *promise.Subject) { s.Part.Package += "s" }, "/ko-app/tinys is not there"},
		"no ELF":             {added(tar.Header{Name: "ko-app/tiny", Mode: 0o555}), "the program is none"},
		"built here":         {func(_ *testing.T, s *promise.Subject) { s.Places = []string{"here I am"} }, "knows the folder here I am"},
		"no licences":        {added(tar.Header{Name: "licences.txt", Mode: 0o444}), "the licence of github.com/concord-suite/concord/linked is not there"},
		"no list":            {func(_ *testing.T, s *promise.Subject) { s.SBOM = nil }, "cannot be read"},
		"a list of another":  {listed("github.com/concord-suite/concord/linked", "github.com/concord-suite/concord/other"), "leaves out github.com/concord-suite/concord/linked"},
		"an old list":        {listed("SPDX-2.3", "SPDX-2.2"), "is of version SPDX-2.2"},
		"a list of versions": {listed(`"versionInfo": "v0.0.0"`, `"versionInfo": "v0.0.1"`), "has github.com/concord-suite/concord/linked v0.0.1 and not v0.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			s := subject(whole)
			c.spoil(t, &s)
			_, broken, err := promise.Check(s)
			require.NoError(t, err)
			require.Contains(t, strings.Join(broken, "\n"), c.says)
		})
	}
}

func configured(change func(*v1.ConfigFile)) func(*testing.T, *promise.Subject) {
	return func(t *testing.T, s *promise.Subject) {
		config, err := s.Image.ConfigFile()
		require.NoError(t, err)
		config = config.DeepCopy()
		change(config)
		s.Image, err = mutate.ConfigFile(s.Image, config)
		require.NoError(t, err)
	}
}

// added puts a layer with one empty entry over the image.
func added(header tar.Header) func(*testing.T, *promise.Subject) {
	return func(t *testing.T, s *promise.Subject) {
		var data bytes.Buffer
		w := tar.NewWriter(&data)
		require.NoError(t, w.WriteHeader(&header))
		require.NoError(t, w.Close())
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data.Bytes())), nil })
		require.NoError(t, err)
		s.Image, err = mutate.AppendLayers(s.Image, layer)
		require.NoError(t, err)
	}
}

func listed(from, to string) func(*testing.T, *promise.Subject) {
	return func(t *testing.T, s *promise.Subject) {
		require.Contains(t, string(s.SBOM), from)
		s.SBOM = bytes.ReplaceAll(s.SBOM, []byte(from), []byte(to))
	}
}

// A service that links the NATS server is refused, and so is one whose module is not what go.sum says.
func TestForeignModulesAreSeen(t *testing.T) {
	root := filepath.Join(t.TempDir(), "repo")
	require.NoError(t, os.CopyFS(root, os.DirFS("testdata/repo")))
	for _, name := range []string{"go.mod", "linked/go.mod", "cmd/tiny/main.go"} {
		file := filepath.Join(root, "tiny", name)
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		data = bytes.ReplaceAll(data, []byte("github.com/concord-suite/concord/linked v0.0.0"), []byte("github.com/nats-io/nats-server/v2 v2.0.0"))
		data = bytes.ReplaceAll(data, []byte("github.com/concord-suite/concord/linked"), []byte("github.com/nats-io/nats-server/v2"))
		data = bytes.ReplaceAll(data, []byte(`"github.com/nats-io`), []byte(`linked "github.com/nats-io`))
		require.NoError(t, os.WriteFile(file, data, 0o600))
	}
	t.Setenv("GOWORK", "off")
	_, err := licence.Text(t.Context(), root, "tiny", "./cmd/tiny", "amd64")
	require.ErrorContains(t, err, "github.com/nats-io/nats-server/v2 v2.0.0 has no licence")
	require.NoError(t, os.WriteFile(filepath.Join(root, "tiny", "linked", "LICENSE"), []byte("free"), 0o600))
	service := part.Part{Name: "tiny", Dir: "tiny", Package: "github.com/concord-suite/concord/tiny/cmd/tiny", Suite: true}
	image, err := maker.Maker{Root: root, Version: "1.2.0", Platforms: []string{"linux/amd64"}}.Make(t.Context(), service)
	require.NoError(t, err)
	s := subject(image.Platforms[0])
	s.Part = service
	_, broken, err := promise.Check(s)
	require.NoError(t, err)
	require.Contains(t, broken, "github.com/nats-io/nats-server/v2 is linked")
	require.Contains(t, broken, "github.com/nats-io/nats-server/v2 is not what go.sum says")
}
