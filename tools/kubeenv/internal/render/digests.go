package render

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// own begins the names that images of the project have in the manifests until a release says registry and digest.
const own = "concord/"

// WithDigests returns the set as a release makes it: each image of the project that has no digest yet is given one. It
// is a kustomization of its own below dir, so that kubectl takes it like any other. A set that needs nothing is returned
// as it is.
func (s Set) WithDigests(dir string) (Set, error) {
	names := s.bareImages()
	if len(names) == 0 {
		return s, nil
	}
	dir = filepath.Join(dir, filepath.FromSlash(s.Name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Set{}, err
	}
	base, err := filepath.Rel(dir, s.Dir) // kustomize takes no absolute path
	if err != nil {
		return Set{}, err
	}
	var images []map[string]string
	for _, name := range names {
		images = append(images, map[string]string{
			"name": name, "newName": "registry.example/" + name,
			"digest": fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name))),
		})
	}
	content, err := yaml.Marshal(map[string]any{"resources": []string{base}, "images": images})
	if err != nil {
		return Set{}, err
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), content, 0o600); err != nil {
		return Set{}, err
	}
	objects, err := kustomize(dir)
	return Set{Name: s.Name, Dir: dir, Objects: objects}, err
}

// bareImages are the project's images that the set names without a digest.
func (s Set) bareImages() []string {
	var names []string
	for _, object := range s.Objects {
		for _, field := range []string{"containers", "initContainers"} {
			list, _, _ := unstructured.NestedFieldNoCopy(object.Object, "spec", "template", "spec", field)
			containers, _ := list.([]any)
			for _, c := range containers {
				container, _ := c.(map[string]any)
				image, _ := container["image"].(string)
				if strings.HasPrefix(image, own) && !strings.ContainsAny(image, ":@") && !slices.Contains(names, image) {
					names = append(names, image)
				}
			}
		}
	}
	return names
}
