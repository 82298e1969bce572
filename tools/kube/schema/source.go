// Package schema makes strict JSON schemas of what a cluster of the supported version accepts, from the OpenAPI document in
// Kubernetes' own module and the CustomResourceDefinitions in the modules of those who define them.
//
// The schemas are for kubeconform and stay on this machine: a check of manifests must not depend on a server, and the
// version of everything is pinned with its checksum. What only a real API server knows (CEL rules, defaults,
// admission) is not in them.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Source is a Go module that is taken for its data and never built.
type Source struct {
	Group           string // of the custom resources that it defines, or what it ends in; empty for Kubernetes itself
	Module, Version string
	Sum             string // as go.sum has it
	Path            string // the OpenAPI document, or the folder of the definitions
	Oldest          Pin    // the oldest version that docs/deploying.md promises, if it is another
}

// Pin is a version of a module and its checksum.
type Pin struct{ Version, Sum string }

// Sources are what schemas are made of.
type Sources struct {
	Kubernetes  Source
	Definitions []Source // of further kinds, with the versions that docs/deploying.md names as tested
}

// Read reads the file with the sources, deploy/k8s/definitions.yaml.
func Read(path string) (Sources, error) {
	var s Sources
	data, err := os.ReadFile(path)
	if err == nil {
		err = yaml.UnmarshalStrict(data, &s)
	}
	if err == nil && (s.Kubernetes.Module == "" || len(s.Definitions) == 0) {
		err = errors.New("names no modules")
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Oldest are the same sources in the oldest versions that are promised.
func (s Sources) Oldest() Sources {
	s.Definitions = slices.Clone(s.Definitions)
	for i, d := range s.Definitions {
		if d.Oldest.Version != "" {
			s.Definitions[i].Version, s.Definitions[i].Sum = d.Oldest.Version, d.Oldest.Sum
		}
	}
	return s
}

// Versions lists the modules with their versions.
func (s Sources) Versions() map[string]string {
	all := map[string]string{s.Kubernetes.Module: s.Kubernetes.Version}
	for _, d := range s.Definitions {
		all[d.Module] = d.Version
	}
	return all
}

// fetch brings the module into Go's module cache and returns the path of its data there. Nothing is asked of the network when
// it is there already.
func (s Source) fetch() (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", s.Module+"@"+s.Version)
	cmd.Dir = os.TempDir() // in no module, whose go.sum would be asked first
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var found struct{ Dir, Sum, Error string }
	if parsed := json.Unmarshal(out, &found); err != nil || parsed != nil {
		return "", fmt.Errorf("go mod download %s@%s: %w\n%s", s.Module, s.Version, errors.Join(err, parsed), found.Error+stderr.String())
	}
	if found.Sum != s.Sum {
		return "", fmt.Errorf("%s %s has checksum %s, want %s", s.Module, s.Version, found.Sum, s.Sum)
	}
	return filepath.Join(found.Dir, filepath.FromSlash(s.Path)), nil
}

// key changes whenever the schemas may.
func (s Sources) key() string {
	parts := []string{format, s.Kubernetes.Version}
	for _, d := range s.Definitions {
		parts = append(parts, d.Version)
	}
	return strings.Join(parts, "-")
}
