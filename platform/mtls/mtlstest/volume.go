package mtlstest

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/concord-suite/concord/platform/mtls"
)

// Volume is a folder with tls.crt, tls.key and ca.crt, mounted as kubelet mounts a Secret: the names are links through
// ..data, which is replaced in one step.
type Volume struct {
	t   testing.TB
	dir string
	n   int
}

// NewVolume makes a volume in a folder of its own.
func NewVolume(t testing.TB) *Volume {
	t.Helper()
	return &Volume{t: t, dir: t.TempDir()}
}

// Mount makes a volume with a certificate and the authorities it comes with.
func Mount(t testing.TB, pair Pair, authorities ...*Authority) *Volume {
	t.Helper()
	v := NewVolume(t)
	v.Swap(pair, authorities...)
	return v
}

// Files are the paths of the three.
func (v *Volume) Files() mtls.Files {
	return mtls.Files{Cert: filepath.Join(v.dir, "tls.crt"), Key: filepath.Join(v.dir, "tls.key"), CA: filepath.Join(v.dir, "ca.crt")}
}

// Swap replaces all three in one step.
func (v *Volume) Swap(pair Pair, authorities ...*Authority) {
	v.t.Helper()
	var bundle [][]byte
	for _, a := range authorities {
		bundle = append(bundle, a.PEM())
	}
	v.n++
	at := fmt.Sprintf("..%d", v.n)
	v.must(os.Mkdir(filepath.Join(v.dir, at), 0o700))
	for name, content := range map[string][]byte{"tls.crt": pair.Cert, "tls.key": pair.Key, "ca.crt": bytes.Join(bundle, nil)} {
		v.must(os.WriteFile(filepath.Join(v.dir, at, name), content, 0o600))
	}
	v.must(os.Symlink(at, filepath.Join(v.dir, "..tmp")))
	v.must(os.Rename(filepath.Join(v.dir, "..tmp"), filepath.Join(v.dir, "..data")))
	if v.n == 1 {
		for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
			v.must(os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name)))
		}
		return
	}
	v.must(os.RemoveAll(filepath.Join(v.dir, fmt.Sprintf("..%d", v.n-1))))
}

// Overwrite writes one of the files in place, as no swap would: "tls.crt", "tls.key" or "ca.crt".
func (v *Volume) Overwrite(name string, content []byte) {
	v.t.Helper()
	v.must(os.WriteFile(filepath.Join(v.dir, name), content, 0o600))
}

func (v *Volume) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// Open opens the volume as the source of a part, which logs nowhere.
func (v *Volume) Open(part string) *mtls.Source {
	v.t.Helper()
	s, err := mtls.Open(mtls.Config{Files: v.Files(), Domain: Domain, Part: part, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	v.must(err)
	return s
}

// Source is a certificate for a part in a volume of its own, opened.
func (a *Authority) Source(part string, edits ...func(*x509.Certificate)) *mtls.Source {
	a.t.Helper()
	return Mount(a.t, a.Issue(part, edits...), a).Open(part)
}
