// Package line is the way of an image from sources to where it is kept: built, looked into, tried, written, pushed.
package line

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/concord-suite/concord/tools/images/internal/maker"
	"github.com/concord-suite/concord/tools/images/internal/part"
	"github.com/concord-suite/concord/tools/images/internal/promise"
	"github.com/concord-suite/concord/tools/images/internal/release"
	"github.com/concord-suite/concord/tools/images/internal/store"
)

// Job is what is to be made.
type Job struct {
	Root    string // the repository
	Out     string // where layouts, lists of contents and digests go
	Version string // of the release, or maker.Devel
	Push    string // registry and prefix; "" pushes nowhere
}

// Do makes the parts named ("" for all) for the platforms and prints a table. With again it makes them twice and compares.
func (j Job) Do(ctx context.Context, w io.Writer, names string, platforms []string, again bool) error {
	parts, err := part.Select(names)
	if err != nil {
		return err
	}
	if j.Version != maker.Devel {
		if err := release.CheckVersion(j.Version); err != nil {
			return err
		}
	}
	for _, folder := range []*string{&j.Root, &j.Out} {
		if *folder, err = filepath.Abs(*folder); err != nil {
			return err
		}
	}
	if again {
		return j.twice(ctx, w, parts, platforms)
	}
	made, err := j.make(ctx, w, parts, platforms)
	if err != nil {
		return err
	}
	return made.Print(w)
}

// make makes the parts one after the other: what one image holds in memory is given back before the next.
func (j Job) make(ctx context.Context, w io.Writer, parts []part.Part, platforms []string) (store.Digests, error) {
	made := store.New(j.Version)
	m := maker.Maker{Root: j.Root, Version: j.Version, Platforms: platforms}
	for _, p := range parts {
		image, err := m.Make(ctx, p)
		if err != nil {
			return made, err
		}
		built, err := j.look(image)
		if err != nil {
			return made, err
		}
		untried, err := try(ctx, image)
		if err != nil {
			return made, err
		}
		if err := store.Save(j.Out, j.Version, image); err != nil {
			return made, err
		}
		if j.Push != "" {
			if err := store.Push(ctx, j.Push, j.Version, image); err != nil {
				return made, err
			}
		}
		made.Images = append(made.Images, built)
		fmt.Fprintln(w, said(p.Name, platforms, untried))
	}
	return made, made.Write(j.Out)
}

// said is the line about an image that is done.
func said(name string, platforms, untried []string) string {
	switch {
	case len(untried) == 0:
		return name + ": built, looked into, tried"
	case len(untried) == len(platforms):
		return name + ": built, looked into; NOT tried: this machine runs no " + strings.Join(untried, ", ") + " (qemu-user-static)"
	}
	return name + ": built, looked into, tried but for " + strings.Join(untried, ", ") + ", which this machine does not run (qemu-user-static)"
}

// look says what was built, or what is wrong with it.
func (j Job) look(image *maker.Image) (store.Built, error) {
	digest, err := image.Index.Digest()
	if err != nil {
		return store.Built{}, err
	}
	built := store.Built{Part: image.Part.Name, Digest: digest}
	for _, p := range image.Platforms {
		facts, broken, err := promise.Check(promise.Subject{
			Part: image.Part, Platform: p.Platform, Version: j.Version, Image: p.Image, SBOM: p.SBOM, Places: places(j.Root),
		})
		if err != nil {
			return built, err
		}
		if len(broken) > 0 {
			return built, fmt.Errorf("%s for %s:\n  %s", image.Part.Name, p.Platform, strings.Join(broken, "\n  "))
		}
		attached, err := store.Attachment(p)
		if err != nil {
			return built, err
		}
		list, err := attached.Digest()
		if err != nil {
			return built, err
		}
		one, err := p.Image.Digest()
		if err != nil {
			return built, err
		}
		built.Platforms = append(built.Platforms, store.One{
			Platform: p.Platform.String(), Digest: one, Size: facts.Size, Packages: facts.Packages, SBOM: list,
		})
	}
	return built, nil
}
