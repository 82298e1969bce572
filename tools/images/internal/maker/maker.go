// Package maker builds the images of the suite with ko: a static program on a base of our own, for each platform, with an
// SPDX list of what is linked.
//
// An image follows from the sources, the version and the Go toolchain, and from nothing else: not from where the sources
// lie, when and by whom they are built, which caches are warm or what the environment says. So the digest in the manifests
// can be found again by everybody from the tag.
package maker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/ko/pkg/build"
	"github.com/sigstore/cosign/v3/pkg/oci"

	"github.com/concord-suite/concord/tools/images/internal/licence"
	"github.com/concord-suite/concord/tools/images/internal/part"
	"github.com/concord-suite/concord/tools/images/internal/rootfs"
)

// ko is the version of ko in go.mod, as the lists of contents name their maker.
const ko = "0.19.1"

// Devel is the version of images that are of no release.
const Devel = "devel"

// versionVariable is what the linker sets to the version.
const versionVariable = part.Prefix + "platform/telemetry.version"

// Maker builds images.
type Maker struct {
	Root      string   // the repository
	Version   string   // of the release, "1.2.0", or Devel
	Platforms []string // "linux/amd64"
}

// Image is what was built of one part.
type Image struct {
	Part      part.Part
	Index     v1.ImageIndex // all platforms
	Platforms []Platform
}

// Platform is the image of one platform.
type Platform struct {
	Platform v1.Platform
	Image    v1.Image
	SBOM     []byte // SPDX 2.3 as JSON
}

// Make builds one part.
func (m Maker) Make(ctx context.Context, p part.Part) (*Image, error) {
	made := &Image{Part: p, Index: mutate.IndexMediaType(empty.Index, types.OCIImageIndex)}
	for _, text := range m.Platforms {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return nil, err
		}
		one, err := m.one(ctx, p, *platform)
		if err != nil {
			return nil, fmt.Errorf("%s for %s: %w", p.Name, text, err)
		}
		made.Platforms = append(made.Platforms, one)
		made.Index = mutate.AppendManifests(made.Index, mutate.IndexAddendum{
			Add: one.Image, Descriptor: v1.Descriptor{MediaType: types.OCIManifestSchema1, Platform: platform},
		})
	}
	return made, nil
}

// one builds a part for a platform. One at a time: the linker alone takes a gigabyte.
func (m Maker) one(ctx context.Context, p part.Part, platform v1.Platform) (Platform, error) {
	licences, err := licence.Text(ctx, m.Root, p.Dir, p.Package, platform.Architecture)
	if err != nil {
		return Platform{}, err
	}
	base, err := baseImage(platform, licences)
	if err != nil {
		return Platform{}, err
	}
	options := []build.Option{
		build.WithBaseImages(func(context.Context, string) (name.Reference, build.Result, error) {
			// No registry has it: it is named for the list of contents, after where its files are described.
			ref, err := name.ParseReference(part.Registry + "/base")
			return ref, base, err
		}),
		build.WithPlatforms(platform.String()),
		build.WithTrimpath(true),
		build.WithCreationTime(epoch()),
		build.WithKoDataCreationTime(epoch()),
		build.WithJobs(1),
		build.WithSPDX(ko),
		build.WithConfig(map[string]build.Config{p.Package: {Env: environment(), Flags: []string{"-buildvcs=false", "-mod=readonly"}, Ldflags: m.linker(p)}}),
	}
	for key, value := range m.labels(p) {
		options = append(options, build.WithLabel(key, value), build.WithAnnotation(key, value))
	}
	builder, err := build.NewGo(ctx, filepath.Join(m.Root, p.Dir), options...)
	if err != nil {
		return Platform{}, err
	}
	result, err := builder.Build(ctx, build.StrictScheme+p.Package)
	if err != nil {
		return Platform{}, err
	}
	image, ok := result.(oci.SignedImage)
	if !ok {
		return Platform{}, fmt.Errorf("ko answered %T and no image", result)
	}
	file, err := image.Attachment("sbom")
	if err != nil {
		return Platform{}, err
	}
	sbom, err := file.Payload()
	return Platform{Platform: platform, Image: image, SBOM: sbom}, err
}

// epoch is when everything was made, as far as images tell. A date of the build would make each build another image, a date
// of the commit would do so for a commit that changes the documentation.
func epoch() v1.Time { return v1.Time{Time: time.Unix(0, 0).UTC()} }

// environment fixes what else decides what the compiler makes; later lines win over those of the process.
func environment() []string {
	return []string{
		"GOWORK=off", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GODEBUG=", "CGO_ENABLED=0",
		"GOAMD64=v1", "GOARM64=v8.0", // every processor of the architecture
	}
}

// linker leaves out the symbol table, which nothing here reads (traces and profiles do without), and says the version.
func (m Maker) linker(p part.Part) []string {
	flags := []string{"-s", "-w"}
	if p.Suite && m.Version != Devel {
		flags = append(flags, "-X", versionVariable+"="+m.Version)
	}
	return flags
}

// labels are those of the OCI that tools show. The commit is not among them: a release's manifests name the digests, so the
// commit cannot be in what the digests are of. Its tag is the version.
func (m Maker) labels(p part.Part) map[string]string {
	const about = "org.opencontainers.image."
	return map[string]string{
		about + "title":    p.Title,
		about + "source":   "https://github.com/concord-suite/concord",
		about + "licenses": "Apache-2.0",
		about + "vendor":   "Concord",
		about + "version":  m.Version,
	}
}

// baseImage is what rootfs describes, for a platform.
func baseImage(platform v1.Platform, licences []byte) (v1.Image, error) {
	data, err := rootfs.Tar(licences)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{
		Layer: layer, History: v1.History{Created: epoch(), CreatedBy: "authorities, user, /tmp, licences"},
	})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant, config.Created = platform.OS, platform.Architecture, platform.Variant, epoch()
	config.Config.User, config.Config.WorkingDir = rootfs.User, "/"
	return mutate.ConfigFile(image, config)
}
