package promise

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/concord-suite/concord/tools/images/internal/rootfs"
)

// entry is what a layer says of a path.
type entry struct {
	header *tar.Header
	data   []byte
}

// read returns everything in the image by absolute path, later layers over earlier ones, and the size of its layers.
func read(image v1.Image) (map[string]entry, int64, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, 0, err
	}
	found, total := map[string]entry{}, int64(0)
	for _, layer := range layers {
		size, err := layer.Size()
		if err != nil {
			return nil, 0, err
		}
		total += size
		if err := readLayer(layer, found); err != nil {
			return nil, 0, err
		}
	}
	return found, total, nil
}

func readLayer(layer v1.Layer, found map[string]entry) error {
	content, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer content.Close()
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		found[path.Join("/", header.Name)] = entry{header: header, data: data}
	}
}

// files says which files there may be: the base's, the program, and folders. Nobody but root may change any of them, and
// none gives its caller more rights than the caller has.
func (s Subject) files(found map[string]entry) []string {
	allowed := map[string][]byte{s.Part.Binary(): nil}
	for _, e := range rootfs.Entries(nil) {
		allowed["/"+e.Path] = e.Data
	}
	allowed["/"+rootfs.Licences] = nil // looked into by itself
	var broken []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		e := found[name]
		data, known := allowed[name]
		mode := e.header.FileInfo().Mode()
		switch {
		case mode.IsDir():
		case !mode.IsRegular():
			broken = append(broken, fmt.Sprintf("%s is no file: %s", name, mode))
		case !known:
			broken = append(broken, name+" should not be there")
		case data != nil && !bytes.Equal(data, e.data):
			broken = append(broken, name+" is not the base's")
		case mode&0o444 != 0o444:
			broken = append(broken, name+" cannot be read by everybody")
		}
		if mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 || mode.Perm()&0o022 != 0 && name != "/tmp" {
			broken = append(broken, fmt.Sprintf("%s has the mode %s", name, mode))
		}
		if e.header.Uid != 0 || e.header.Gid != 0 {
			broken = append(broken, name+" does not belong to root")
		}
		if e.header.ModTime.Unix() > 0 {
			broken = append(broken, name+" says when it was made")
		}
		for key := range e.header.PAXRecords {
			if strings.HasPrefix(key, "SCHILY.xattr.") {
				broken = append(broken, name+" has the attribute "+key) // capabilities are given like this
			}
		}
	}
	return broken
}

// executable says what is wrong with a program that must run where there is no other file.
func executable(platform v1.Platform, data []byte) []string {
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return []string{"the program is none: " + err.Error()}
	}
	defer file.Close()
	var broken []string
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	if file.Machine != machines[platform.Architecture] {
		broken = append(broken, fmt.Sprintf("the program is for %s", file.Machine))
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			broken = append(broken, "the program is not static: "+segment.Type.String())
		}
	}
	return broken
}
