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
)

// source is a Go module that is taken for the definitions of custom resources in it and never built. Versions are those
// that docs/deploying.md names as tested.
type source struct {
	group           string // the definitions' API group, or what it ends in
	module, version string
	sum             string // as go.sum has it
	folder          string
}

var sources = []source{
	{
		group: "gateway.networking.k8s.io", module: "sigs.k8s.io/gateway-api", version: "v1.6.3",
		sum:    "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
		folder: "config/crd/standard",
	},
	{
		group: "monitoring.coreos.com", module: "github.com/prometheus-operator/prometheus-operator", version: "v0.85.0",
		sum:    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
		folder: "example/prometheus-operator-crd",
	},
	{
		group: "cert-manager.io", module: "github.com/cert-manager/cert-manager", version: "v1.21.2",
		sum:    "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
		folder: "deploy/crds",
	},
	{
		group: "external-secrets.io", module: "github.com/external-secrets/external-secrets", version: "v1.3.2",
		sum:    "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
		folder: "config/crds/bases",
	},
	{
		group: "postgresql.cnpg.io", module: "github.com/cloudnative-pg/cloudnative-pg", version: "v1.30.0",
		sum:    "h1:fnhVq44xXx97MNiuvJsPrX1vSjYbgdyBK5MSGfdHdp0=",
		folder: "config/crd/bases",
	},
	{
		group: "barmancloud.cnpg.io", module: "github.com/cloudnative-pg/plugin-barman-cloud", version: "v0.15.0",
		sum:    "h1:gNVytrzzYUE08wxLDrjfJqy1FPPSFkMe1OEr4s4pVI0=",
		folder: "config/crd/bases",
	},
}

// Definitions finds the definitions of the custom resources among the objects. Only of those: installing all that the
// sources define takes longer than everything else. A kind that no source defines is left to the API server, which knows
// it or says that it does not.
func Definitions(sets []Set) ([]*unstructured.Unstructured, error) {
	var definitions []*unstructured.Unstructured
	for _, s := range sources {
		kinds := map[schema.GroupKind]bool{}
		for _, set := range sets {
			for _, object := range set.Objects {
				if kind := object.GroupVersionKind().GroupKind(); kind.Group == s.group || strings.HasSuffix(kind.Group, "."+s.group) {
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
	paths, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(s.folder), "*.yaml"))
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
		return nil, fmt.Errorf("%s %s defines no %s", s.module, s.version, kind)
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
	cmd := exec.Command("go", "mod", "download", "-json", s.module+"@"+s.version)
	cmd.Dir = os.TempDir() // in no module, whose go.sum would be asked first
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	var found struct{ Dir, Sum, Error string }
	if parsed := json.Unmarshal(out, &found); err != nil || parsed != nil {
		return "", fmt.Errorf("go mod download %s@%s: %s: %w", s.module, s.version, found.Error, errors.Join(err, parsed))
	}
	if found.Sum != s.sum {
		return "", fmt.Errorf("%s %s has checksum %s, want %s", s.module, s.version, found.Sum, s.sum)
	}
	return found.Dir, nil
}
