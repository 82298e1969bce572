// Package schema makes strict JSON schemas of what a cluster of the supported version accepts, from the OpenAPI document in
// Kubernetes' own module and the CustomResourceDefinitions in the modules of those who define them.
//
// The schemas are for kubeconform and stay on this machine: a check of manifests must not depend on a server, and the
// version of everything is pinned here with its checksum. What only a real API server knows (CEL rules, defaults,
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
	"strings"
)

// source is a Go module that is taken for its data and never built.
type source struct {
	module, version string
	sum             string // as go.sum has it
	path            string // the OpenAPI document, or the folder of the definitions
}

// kubernetes is the version of Kubernetes that the schemas describe; definitions are the modules that define further kinds, with the
// version that docs/deploying.md names as tested.
var (
	kubernetes = source{
		module: "k8s.io/kubernetes", version: "v1.36.3", sum: "h1:qDQdoMiluAE2Eab6Fa52YV+WjiGz9mZFFoagEA6cI+o=", path: "api/openapi-spec/swagger.json",
	}
	definitions = []source{
		{module: "sigs.k8s.io/gateway-api", version: "v1.6.3", sum: "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=", path: "config/crd/standard"},
		{module: "github.com/prometheus-operator/prometheus-operator", version: "v0.85.0", sum: "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=", path: "example/prometheus-operator-crd"},
		{module: "github.com/cert-manager/cert-manager", version: "v1.21.2", sum: "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=", path: "deploy/crds"},
		{module: "github.com/external-secrets/external-secrets", version: "v1.3.2", sum: "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=", path: "config/crds/bases"},
		{module: "github.com/cloudnative-pg/cloudnative-pg", version: "v1.30.0", sum: "h1:fnhVq44xXx97MNiuvJsPrX1vSjYbgdyBK5MSGfdHdp0=", path: "config/crd/bases"},
		{module: "github.com/cloudnative-pg/plugin-barman-cloud", version: "v0.15.0", sum: "h1:gNVytrzzYUE08wxLDrjfJqy1FPPSFkMe1OEr4s4pVI0=", path: "config/crd/bases"},
	}
)

// Versions lists what the schemas were made of, module and version.
func Versions() map[string]string {
	all := map[string]string{kubernetes.module: kubernetes.version}
	for _, s := range definitions {
		all[s.module] = s.version
	}
	return all
}

// fetch brings the module into Go's module cache and returns the path of its data there. Nothing is asked of the network when
// it is there already.
func (s source) fetch() (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", s.module+"@"+s.version)
	cmd.Dir = os.TempDir() // in no module, whose go.sum would be asked first
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var found struct{ Dir, Sum, Error string }
	if parsed := json.Unmarshal(out, &found); err != nil || parsed != nil {
		return "", fmt.Errorf("go mod download %s@%s: %w\n%s", s.module, s.version, errors.Join(err, parsed), found.Error+stderr.String())
	}
	if found.Sum != s.sum {
		return "", fmt.Errorf("%s %s has checksum %s, want %s", s.module, s.version, found.Sum, s.sum)
	}
	return filepath.Join(found.Dir, filepath.FromSlash(s.path)), nil
}

// key changes whenever the schemas may.
func key() string {
	parts := []string{format, kubernetes.version}
	for _, s := range definitions {
		parts = append(parts, s.version)
	}
	return strings.Join(parts, "-")
}
