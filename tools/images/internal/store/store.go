// Package store keeps images: as OCI layouts with their lists of contents in a folder, in a file with all digests, and in a
// registry.
package store

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/concord-suite/concord/tools/images/internal/maker"
)

// Digests is the file that says what was built.
type Digests struct {
	Version string  `json:"version"`
	Go      string  `json:"go"` // the toolchain, which is part of what an image follows from
	Images  []Built `json:"images"`
}

// Built is one image.
type Built struct {
	Part      string  `json:"part"`
	Digest    v1.Hash `json:"digest"`
	Platforms []One   `json:"platforms"`
}

// One is an image of one platform.
type One struct {
	Platform string  `json:"platform"`
	Digest   v1.Hash `json:"digest"`
	Size     int64   `json:"size"`     // bytes of its layers, compressed
	Packages int     `json:"packages"` // modules that its list of contents names
	SBOM     v1.Hash `json:"sbom"`     // of the manifest that attaches the list
}

// New returns an empty Digests for a version.
func New(version string) Digests { return Digests{Version: version, Go: runtime.Version()} }

// Write writes the file.
func (d Digests) Write(folder string) error {
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, DigestsFile), append(data, '\n'), 0o600)
}

// Print writes a table: a line for each platform.
func (d Digests) Print(w io.Writer) error {
	const mega = 1e6
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PART\tPLATFORM\tMB\tMODULES\tDIGEST")
	for _, image := range d.Images {
		for _, one := range image.Platforms {
			fmt.Fprintf(table, "%s\t%s\t%.1f\t%d\t%s\n", image.Part, one.Platform, float64(one.Size)/mega, one.Packages, one.Digest)
		}
		fmt.Fprintf(table, "%s\tall\t\t\t%s\n", image.Part, image.Digest)
	}
	return table.Flush()
}

// DigestsFile is the name of the file of Digests.
const DigestsFile = "digests.json"

// Save writes an image as an OCI layout into folder/<part>, in place of what was there, and its lists of contents as files
// into folder/sbom. In the layout the image has the version as its name, as tools want one to tell it from the lists:
// "oci:.cache/images/auth:1.2.0".
func Save(folder, version string, image *maker.Image) error {
	place := filepath.Join(folder, image.Part.Name)
	if err := os.RemoveAll(place); err != nil {
		return err
	}
	lists := filepath.Join(folder, "sbom")
	if err := os.MkdirAll(lists, 0o755); err != nil {
		return err
	}
	path, err := layout.Write(place, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(image.Index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": version})); err != nil {
		return err
	}
	for _, p := range image.Platforms {
		attached, err := Attachment(p)
		if err != nil {
			return err
		}
		if err := path.AppendImage(attached); err != nil {
			return err
		}
		file := fmt.Sprintf("%s-%s.spdx.json", image.Part.Name, strings.ReplaceAll(p.Platform.String(), "/", "-"))
		if err := os.WriteFile(filepath.Join(lists, file), p.SBOM, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// spdxType is the media type of a list of contents, registered at IANA for SPDX.
const spdxType types.MediaType = "application/spdx+json"

// Attachment is the list of contents as an artifact that refers to its image (OCI 1.1), as registries and scanners look for
// it.
func Attachment(p maker.Platform) (v1.Image, error) {
	subject, err := partial.Descriptor(p.Image)
	if err != nil {
		return nil, err
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), spdxType)
	artifact, err = mutate.AppendLayers(artifact, static.NewLayer(p.SBOM, spdxType))
	if err != nil {
		return nil, err
	}
	attached, ok := mutate.Subject(artifact, *subject).(v1.Image)
	if !ok {
		return nil, fmt.Errorf("an image with a subject is none")
	}
	return attached, nil
}

// Push uploads an image to prefix/<part> with its lists of contents, and gives it the version as a tag. Who may push is what
// docker's configuration says (docker login, or a credential helper).
func Push(ctx context.Context, prefix, version string, image *maker.Image) error {
	repository, err := name.NewRepository(prefix + "/" + image.Part.Name)
	if err != nil {
		return err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(repository.Tag(version), image.Index, options...); err != nil {
		return err
	}
	for _, p := range image.Platforms {
		attached, err := Attachment(p)
		if err != nil {
			return err
		}
		digest, err := attached.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(repository.Digest(digest.String()), attached, options...); err != nil {
			return err
		}
	}
	return nil
}
