// Package broker reads the configuration of the NATS servers in a rendering as the server itself does.
package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	corev1 "k8s.io/api/core/v1"

	"github.com/concord-suite/concord/tools/kube/manifest"
)

// Bus are the NATS servers of a rendering.
type Bus struct {
	Workload manifest.Workload
	// Options are what the server makes of its files, defaults left out.
	Options *server.Options
	// Files are the texts of the configuration, by the name of the file.
	Files map[string]string
}

// Read finds the servers, nil when the rendering has none, and gives their configuration to the server's own parser. In place
// of the certificates it finds one that is made for it.
func Read(s *manifest.Set) (*Bus, error) {
	for _, w := range s.Workloads {
		for _, c := range w.Pod().Containers {
			if manifest.Program(c) == "nats" {
				return read(s, w, c)
			}
		}
	}
	return nil, nil
}

func read(s *manifest.Set, w manifest.Workload, c corev1.Container) (*Bus, error) {
	b := &Bus{Workload: w, Files: map[string]string{}}
	main := configFile(c)
	source := s.File(w, c, main)
	if source.Kind != "ConfigMap" || source.Key == "" {
		return nil, fmt.Errorf("%s: no ConfigMap has the file of --config, %q", w.ID(), main)
	}
	for _, config := range s.ConfigMaps {
		if config.Name == source.Name {
			b.Files = config.Data
		}
	}
	dir, err := os.MkdirTemp("", "kube-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := certificate(dir); err != nil {
		return nil, err
	}
	for name, text := range b.Files {
		for variable, value := range s.Env(c).Values { // others the parser does not find either
			text = strings.ReplaceAll(text, "$"+variable, value)
		}
		for _, file := range []string{"tls.crt", "tls.key", "ca.crt"} {
			for _, m := range c.VolumeMounts {
				text = strings.ReplaceAll(text, path.Join(m.MountPath, file), filepath.Join(dir, file))
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if b.Options, err = server.ProcessConfigFile(filepath.Join(dir, source.Key)); err != nil {
		return nil, fmt.Errorf("%s: %s", w.ID(), strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""))
	}
	return b, nil
}

// configFile is what the argument --config names.
func configFile(c corev1.Container) string {
	for i, arg := range c.Args {
		if name, value, found := strings.Cut(arg, "="); found && strings.TrimLeft(name, "-") == "config" {
			return value
		}
		if (arg == "--config" || arg == "-c") && i+1 < len(c.Args) {
			return c.Args[i+1]
		}
	}
	return ""
}

// certificate writes a certificate, its key and itself as authority, which the parser reads and nobody uses.
func certificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{
		"tls.crt": public, "ca.crt": public, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
