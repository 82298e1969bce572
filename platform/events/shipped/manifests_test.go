// Package shipped holds no code: its tests run the NATS servers as deploy/k8s ships them, with the program of the image, the
// files of the ConfigMap, the arguments of the StatefulSet, and certificates with what is asked of cert-manager for them.
package shipped

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// root is the folder of the project.
const root = "../../.."

// manifests is what deploy/k8s says about the bus.
type manifests struct {
	set          statefulSet
	files        map[string]string // of the ConfigMap
	certificates map[string]certificateSpec
}

type statefulSet struct {
	Spec struct {
		Replicas    int
		ServiceName string `yaml:"serviceName"`
		Template    struct {
			Spec struct {
				Grace      int64 `yaml:"terminationGracePeriodSeconds"`
				Containers []container
			}
		}
	}
}

type container struct {
	Args []string
	Env  []struct {
		Name, Value string
		ValueFrom   struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
	Ports []struct {
		Name string
		Port int `yaml:"containerPort"`
	}
	Lifecycle struct {
		PreStop struct{ Exec struct{ Command []string } } `yaml:"preStop"`
	}
	Startup   probe `yaml:"startupProbe"`
	Readiness probe `yaml:"readinessProbe"`
	Liveness  probe `yaml:"livenessProbe"`
}

type probe struct {
	Get struct{ Path, Port string } `yaml:"httpGet"`
}

// certificateSpec is what cert-manager is asked for.
type certificateSpec struct {
	Secret   string `yaml:"secretName"`
	Usages   []string
	URIs     []string
	DNSNames []string `yaml:"dnsNames"`
}

func (m *manifests) container() *container { return &m.set.Spec.Template.Spec.Containers[0] }

// readManifests reads the components of three servers and of certificates by cert-manager.
func readManifests(t *testing.T) *manifests {
	t.Helper()
	_ = os.Getenv("SOURCES_DIGEST") // what is read lies outside this module (Makefile)
	m := &manifests{files: map[string]string{}, certificates: map[string]certificateSpec{}}
	documents(t, "nats/statefulset.yaml", func(d *yaml.Node) { require.NoError(t, d.Decode(&m.set)) })
	require.Len(t, m.set.Spec.Template.Spec.Containers, 1)
	var kustomization struct {
		Generators []struct {
			Name  string
			Files []string
		} `yaml:"configMapGenerator"`
	}
	documents(t, "nats/kustomization.yaml", func(d *yaml.Node) { require.NoError(t, d.Decode(&kustomization)) })
	require.Len(t, kustomization.Generators, 1)
	for _, name := range kustomization.Generators[0].Files {
		m.files[name] = string(component(t, "nats/"+name))
	}
	for _, file := range []string{"mtls/certificates.yaml", "mtls/nats.yaml"} {
		documents(t, file, func(d *yaml.Node) {
			var c struct{ Spec certificateSpec }
			require.NoError(t, d.Decode(&c))
			m.certificates[strings.TrimSuffix(c.Spec.Secret, "-tls")] = c.Spec
		})
	}
	return m
}

// believing is the same with the component that takes authorities from a file of their own.
func (m *manifests) believing(t *testing.T) *manifests {
	t.Helper()
	var patch statefulSet
	documents(t, "authorities/nats.yaml", func(d *yaml.Node) { require.NoError(t, d.Decode(&patch)) })
	m.container().Args = patch.Spec.Template.Spec.Containers[0].Args
	m.files["authority.conf"] = string(component(t, "authorities/authority.conf"))
	return m
}

// single is the same with the component for one server.
func (m *manifests) single(t *testing.T) *manifests {
	t.Helper()
	m.files["cluster.conf"], m.set.Spec.Replicas = string(component(t, "nats-single/cluster.conf")), 1
	return m
}

// issue makes the certificate that the manifests ask for: these names, these URIs and these usages, and nothing else.
func (m *manifests) issue(t *testing.T, by *mtlstest.Authority, name string) mtlstest.Pair {
	t.Helper()
	asked, ok := m.certificates[name]
	require.True(t, ok, "deploy/k8s asks for no certificate for %s", name)
	usages := map[string]x509.ExtKeyUsage{"server auth": x509.ExtKeyUsageServerAuth, "client auth": x509.ExtKeyUsageClientAuth}
	return by.Issue(name, func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames = "", asked.DNSNames
		c.URIs, c.ExtKeyUsage, c.KeyUsage = []*url.URL{}, nil, 0
		for _, uri := range asked.URIs {
			c.URIs = append(c.URIs, mtlstest.URI(t, uri))
		}
		for _, usage := range asked.Usages {
			if usage == "digital signature" {
				c.KeyUsage = x509.KeyUsageDigitalSignature
				continue
			}
			extended, known := usages[usage]
			require.True(t, known, usage)
			c.ExtKeyUsage = append(c.ExtKeyUsage, extended)
		}
	})
}

// grace is how long a pod has to end.
func (m *manifests) grace() time.Duration {
	return time.Duration(m.set.Spec.Template.Spec.Grace) * time.Second
}

func component(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "deploy", "k8s", "components", path))
	require.NoError(t, err)
	return content
}

func documents(t *testing.T, path string, each func(*yaml.Node)) {
	t.Helper()
	for decoder := yaml.NewDecoder(bytes.NewReader(component(t, path))); ; {
		var d yaml.Node
		err := decoder.Decode(&d)
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err, path)
		each(&d)
	}
}
