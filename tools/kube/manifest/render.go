package manifest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Folders lists the kustomizations that are rendered as a whole, below root (deploy/k8s): the overlays, and the combinations
// of components in tests.
func Folders(root string) ([]string, error) {
	var found []string
	for _, parent := range []string{"overlays", "tests"} {
		entries, err := os.ReadDir(filepath.Join(root, parent))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() {
				found = append(found, parent+"/"+e.Name())
			}
		}
	}
	return found, nil
}

// Render renders one kustomization below root. A reference to anything that is not in root is an error: what is applied must
// not depend on what a host far away answers.
func Render(root, folder string) (*Set, error) {
	result, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, folder))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	var objects []Object
	for _, resource := range result.Resources() {
		data, err := resource.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
		var o Object
		if err := json.Unmarshal(data, &o); err != nil {
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
		objects = append(objects, o)
	}
	return newSet(folder, objects)
}

// kustomization has the fields of a kustomization.yaml that name other files.
type kustomization struct {
	Resources, Components, Bases, CRDs, Generators, Transformers, Configurations []string
	HelmCharts                                                                   []any
}

// Foreign lists the references of all kustomizations below root that leave root, which would be fetched when they are
// rendered.
func Foreign(root string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "kustomization.yaml" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var k kustomization
		if err := yaml.Unmarshal(data, &k); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, reference := range slices.Concat(k.Resources, k.Components, k.Bases, k.CRDs, k.Generators, k.Transformers, k.Configurations) {
			target := filepath.Join(filepath.Dir(path), reference)
			if _, err := os.Stat(target); err != nil || !strings.HasPrefix(target, filepath.Clean(root)+string(filepath.Separator)) {
				found = append(found, fmt.Sprintf("%s: %s", path, reference))
			}
		}
		if len(k.HelmCharts) > 0 {
			found = append(found, path+": helmCharts")
		}
		return nil
	})
	return found, err
}
