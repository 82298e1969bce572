// Package release writes and checks the kustomize component that pins what a release is: the digest of each image, the
// version on labels, and the names of the Jobs that migrate databases, which cannot be changed once they have run.
package release

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/concord-suite/concord/tools/images/internal/part"
)

// File is the component's file, relative to the repository.
const File = "deploy/k8s/components/release/kustomization.yaml"

var (
	// version is a semantic version without build data, whose plus sign neither tags nor labels may have.
	version = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9a-z]+(\.[0-9a-z]+)*)?$`)
	digest  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// maxVersion keeps the names of Jobs within the 63 characters of a label, which Kubernetes copies them into.
const maxVersion = 40

// CheckVersion says whether a release can have this version.
func CheckVersion(v string) error {
	if !version.MatchString(v) || len(v) > maxVersion {
		return fmt.Errorf("%q is no version of a release: 1.2.0 or 1.2.0-rc.1, in lower case, without v and +", v)
	}
	return nil
}

// Pinned is what the component pins.
type Pinned struct {
	Version string
	Go      string            // the toolchain that gives these digests
	Digests map[string]string // by part
}

// Read reads the digests that the builder wrote.
func Read(file string) (Pinned, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Pinned{}, err
	}
	var built struct {
		Version, Go string
		Images      []struct {
			Part, Digest string
			Platforms    []struct{ Platform string }
		}
	}
	if err := json.Unmarshal(data, &built); err != nil {
		return Pinned{}, fmt.Errorf("%s: %w", file, err)
	}
	p := Pinned{Version: built.Version, Go: built.Go, Digests: map[string]string{}}
	for _, image := range built.Images {
		p.Digests[image.Part] = image.Digest
		found := []string{}
		for _, one := range image.Platforms {
			found = append(found, one.Platform)
		}
		if !slices.Equal(found, platforms()) {
			return Pinned{}, fmt.Errorf("%s was built for %s: a release is for %s", image.Part, strings.Join(found, ","), strings.Join(platforms(), ","))
		}
	}
	return p, nil
}

// platforms are those of a release, in the order in which its index lists them.
func platforms() []string { return []string{"linux/amd64", "linux/arm64"} }

// Component returns the component's file.
func (p Pinned) Component() ([]byte, error) {
	if err := CheckVersion(p.Version); err != nil {
		return nil, err
	}
	type row struct{ Name, Digest string }
	view := struct {
		Version, Go, Registry, Slug string
		Images                      []row
		Jobs                        []string
	}{Version: p.Version, Go: p.Go, Registry: part.Registry, Slug: slug(p.Version)}
	for _, one := range part.All() {
		if !digest.MatchString(p.Digests[one.Name]) {
			return nil, fmt.Errorf("%s has no digest: a release has all parts, on all platforms", one.Name)
		}
		view.Images = append(view.Images, row{one.Name, p.Digests[one.Name]})
		if one.Job {
			view.Jobs = append(view.Jobs, one.Name)
		}
	}
	var out bytes.Buffer
	err := component().Execute(&out, view)
	return out.Bytes(), err
}

// slug is the version as a part of a name.
func slug(v string) string { return strings.ReplaceAll(v, ".", "-") }

func component() *template.Template {
	return template.Must(template.New("").Parse(`# What this release is. Written by "make images RELEASE={{.Version}}" with {{.Go}}, and not by hand: docs/images.md says how to
# find the same digests from the tag.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images:
{{- range .Images}}
  - name: concord/{{.Name}}
    newName: {{$.Registry}}/{{.Name}}
    digest: {{.Digest}}
{{- end}}
labels:
  - pairs:
      app.kubernetes.io/version: "{{.Version}}"
    # Of the pods, only those of the suite: a bus that is the same as before must not be restarted for a label.
    fields:
      - {path: spec/template/metadata/labels, kind: Deployment, group: apps, create: true}
      - {path: spec/template/metadata/labels, kind: Job, group: batch, create: true}
# A Job that has run cannot be changed, so each release has Jobs of its own.
patches:
{{- range .Jobs}}
  - target: {kind: Job, name: {{.}}-migrate}
    options: {allowNameChange: true}
    patch: |-
      - {op: replace, path: /metadata/name, value: {{.}}-migrate-{{$.Slug}}}
{{- end}}
`))
}

// Write writes the component into a repository.
func (p Pinned) Write(root string) error {
	data, err := p.Component()
	if err != nil {
		return err
	}
	file := filepath.Join(root, filepath.FromSlash(File))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

// document is what is read of the component.
type document struct {
	Images []struct {
		Name    string `yaml:"name"`
		NewName string `yaml:"newName"`
		NewTag  string `yaml:"newTag"`
		Digest  string `yaml:"digest"`
	} `yaml:"images"`
	Labels []struct {
		Pairs map[string]string `yaml:"pairs"`
	} `yaml:"labels"`
}

// Check says what is wrong with a repository's component. It cannot say whether the digests are those of the sources: that
// takes building them, and between releases they are not.
func Check(root string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(File)))
	if err != nil {
		return nil, err
	}
	var d document
	if err := yaml.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", File, err)
	}
	p := Pinned{Digests: map[string]string{}}
	var wrong []string
	for _, image := range d.Images {
		name, ours := strings.CutPrefix(image.Name, "concord/")
		switch known := slices.ContainsFunc(part.All(), func(p part.Part) bool { return p.Name == name }); {
		case !ours || !known:
			wrong = append(wrong, image.Name+" is no image of the suite")
		case image.NewName != part.Registry+"/"+name || image.NewTag != "":
			wrong = append(wrong, fmt.Sprintf("%s comes from %s:%s", image.Name, image.NewName, image.NewTag))
		case p.Digests[name] != "":
			wrong = append(wrong, image.Name+" is there twice")
		}
		for other, same := range p.Digests {
			if same == image.Digest {
				wrong = append(wrong, fmt.Sprintf("%s and concord/%s have the same digest", image.Name, other))
			}
		}
		p.Digests[name] = image.Digest
	}
	for _, label := range d.Labels {
		p.Version = label.Pairs["app.kubernetes.io/version"]
	}
	// The toolchain stands in a comment only, which the writer made.
	if found := regexp.MustCompile(`with (go[^,\s]+),`).FindSubmatch(data); found != nil {
		p.Go = string(found[1])
	}
	should, err := p.Component()
	if err != nil {
		return append(wrong, err.Error()), nil
	}
	if !bytes.Equal(should, data) {
		wrong = append(wrong, "it is not as the program writes it")
	}
	return wrong, nil
}
