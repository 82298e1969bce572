// Package rootfs makes what every image holds besides its program: the authorities that public servers are verified by, a
// user, a folder for temporary files, and what licences ask to come along. No shell, no libraries, no package database: there is nothing to be patched but
// the authorities and the program, and both come from go.sum.
//
// The authorities are the Go project's copy of Mozilla's list, a module like any other. A distribution's package differs
// from machine to machine and week to week, so the same sources would not give the same image.
package rootfs

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// User is who runs the program, by number: kubelet cannot see from a name that it is not root.
const User = "65532:65532"

// Entry is a file, or a folder when Data is nil. Everything belongs to root.
type Entry struct {
	Path string // relative to the root
	Mode fs.FileMode
	Data []byte
}

// Licences is where an image says what its program is made of and under which licences, relative to the root.
const Licences = "licences.txt"

// Entries lists the content, folders before what is in them; licences is that of the file of that name.
func Entries(licences []byte) []Entry {
	return []Entry{
		folder("etc", 0o755),
		folder("etc/ssl", 0o755),
		folder("etc/ssl/certs", 0o755),
		folder("tmp", 0o777|fs.ModeSticky),
		// The name is for people who look at a process list; the home is a folder that cannot be written.
		file("etc/passwd", "nonroot:x:65532:65532:nonroot:/:/nonexistent\n"),
		file("etc/group", "nonroot:x:65532:\n"),
		file(Licences, string(licences)),
		// The first place where Go looks on Linux.
		file("etc/ssl/certs/ca-certificates.crt", string(authorities())),
	}
}

func folder(path string, mode fs.FileMode) Entry { return Entry{Path: path, Mode: mode | fs.ModeDir} }

func file(path, data string) Entry { return Entry{Path: path, Mode: 0o444, Data: []byte(data)} }

// authorities returns the trusted certificates as PEM. Those that Mozilla trusts only for certificates issued before some
// day are left out: a file cannot say so, and what they issued before has expired or soon will (398 days at most).
func authorities() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			// A write into memory cannot fail.
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return out.Bytes()
}

// Tar returns the content as the one layer of the base image, the same bytes each time.
func Tar(licences []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range Entries(licences) {
		header := &tar.Header{Name: e.Path, Mode: int64(e.Mode.Perm()), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg, Size: int64(len(e.Data))}
		if e.Mode.IsDir() {
			header.Name, header.Typeflag = e.Path+"/", tar.TypeDir
		}
		if e.Mode&fs.ModeSticky != 0 {
			header.Mode |= 0o1000
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.Data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Write puts the content into a folder, which it creates, for a build that does not go through Tar.
func Write(root string, licences []byte) error {
	for _, e := range Entries(licences) {
		name := filepath.Join(root, filepath.FromSlash(path.Clean(e.Path)))
		if e.Mode.IsDir() {
			if err := os.MkdirAll(name, 0o755); err != nil {
				return err
			}
		} else if err := os.WriteFile(name, e.Data, 0o600); err != nil {
			return err
		}
		// Not the mode that the umask leaves.
		if err := os.Chmod(name, e.Mode.Perm()|e.Mode&fs.ModeSticky); err != nil {
			return err
		}
	}
	return nil
}
