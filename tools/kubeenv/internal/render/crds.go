package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// source is a Go module that is taken for the definitions of custom resources in it and never built.
type source struct {
	Group           string // the definitions' API group, or what it ends in
	Module, Version string
	Sum             string // as go.sum has it
	Path            string // the folder of the definitions
}

// sources reads which modules the manifests below root are checked against.
func sources(root string) ([]source, error) {
	path := filepath.Join(root, "definitions.yaml")
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var pinned struct{ Definitions []source }
	if err := yaml.Unmarshal(content, &pinned); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return pinned.Definitions, nil
}

// Definitions finds the definitions of the custom resources among the objects of the sets, which are below root. Only of those:
// installing all that the sources define takes longer than everything else. A kind that no source defines is left to the API
// server, which knows it or says that it does not.
func Definitions(root string, sets []Set) ([]*unstructured.Unstructured, error) {
	sources, err := sources(root)
	if err != nil {
		return nil, err
	}
	var definitions []*unstructured.Unstructured
	for _, s := range sources {
		kinds := map[schema.GroupKind]bool{}
		for _, set := range sets {
			for _, object := range set.Objects {
				if kind := object.GroupVersionKind().GroupKind(); kind.Group == s.Group || strings.HasSuffix(kind.Group, "."+s.Group) {
					kinds[kind] = true
				}
			}
		}
		if len(kinds) == 0 {
			continue
		}
		found, err := s.definitions(kinds)
		if err != nil {
			return nil, err
		}
		definitions = append(definitions, found...)
	}
	return definitions, nil
}

func (s source) definitions(kinds map[schema.GroupKind]bool) ([]*unstructured.Unstructured, error) {
	dir, err := s.download()
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(s.Path), "*.yaml"))
	if err != nil {
		return nil, err
	}
	var found []*unstructured.Unstructured
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, document := range documents(content) {
			if !mentions(document, kinds) { // reading a megabyte of YAML for nothing takes a second
				continue
			}
			object, err := parse(document)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			if object.GetKind() == "CustomResourceDefinition" && kinds[defines(object)] {
				delete(kinds, defines(object))
				found = append(found, object)
			}
		}
	}
	for kind := range kinds {
		return nil, fmt.Errorf("%s %s defines no %s", s.Module, s.Version, kind)
	}
	return found, nil
}

// documents takes a YAML file apart.
func documents(content []byte) [][]byte {
	var parts [][]byte
	for part := range bytes.SplitSeq(append([]byte("\n"), content...), []byte("\n---")) {
		if len(bytes.TrimSpace(part)) > 0 {
			parts = append(parts, part)
		}
	}
	return parts
}

func mentions(document []byte, kinds map[schema.GroupKind]bool) bool {
	for kind := range kinds {
		if bytes.Contains(document, []byte("    kind: "+kind.Kind+"\n")) {
			return true
		}
	}
	return false
}

func defines(definition *unstructured.Unstructured) schema.GroupKind {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	return schema.GroupKind{Group: group, Kind: kind}
}

// download brings the module into Go's module cache and returns its folder there. Nothing is asked of the network when
// it is there already.
func (s source) download() (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", s.Module+"@"+s.Version)
	cmd.Dir = os.TempDir() // in no module, whose go.sum would be asked first
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	var found struct{ Dir, Sum, Error string }
	if parsed := json.Unmarshal(out, &found); err != nil || parsed != nil {
		return "", fmt.Errorf("go mod download %s@%s: %s: %w", s.Module, s.Version, found.Error, errors.Join(err, parsed))
	}
	if found.Sum != s.Sum {
		return "", fmt.Errorf("%s %s has checksum %s, want %s", s.Module, s.Version, found.Sum, s.Sum)
	}
	return found.Dir, nil
}
