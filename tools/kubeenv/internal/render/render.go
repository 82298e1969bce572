// Package render turns a kustomization into objects and finds what a cluster has to know to take them.
package render

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Set is one overlay or combination and what it renders to.
type Set struct {
	Name    string // "overlays/small"
	Dir     string // absolute
	Objects []*unstructured.Unstructured
}

// All renders every kustomization in the folders of root: root/<folder>/*/kustomization.yaml. A folder that is not
// there holds none.
func All(root string, folders ...string) ([]Set, error) {
	var sets []Set
	for _, folder := range folders {
		paths, err := filepath.Glob(filepath.Join(root, folder, "*", "kustomization.yaml"))
		if err != nil {
			return nil, err
		}
		slices.Sort(paths)
		for _, path := range paths {
			dir := filepath.Dir(path)
			set := Set{Name: folder + "/" + filepath.Base(dir), Dir: dir}
			if set.Objects, err = kustomize(dir); err != nil {
				return nil, fmt.Errorf("%s: %w", set.Name, err)
			}
			sets = append(sets, set)
		}
	}
	return sets, nil
}

// kustomize renders one folder with the options that kubectl apply -k has.
func kustomize(dir string) ([]*unstructured.Unstructured, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, resource := range resources.Resources() {
		content, err := resource.MarshalJSON()
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(content); err != nil {
			return nil, fmt.Errorf("%s: %w", resource.CurId(), err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// File reads the objects of one YAML file.
func File(path string) ([]*unstructured.Unstructured, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, document := range documents(content) {
		object, err := parse(document)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func parse(content []byte) (*unstructured.Unstructured, error) {
	// By way of JSON, so that numbers have the types that unstructured objects allow.
	json, err := yaml.YAMLToJSONStrict(content)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	return object, object.UnmarshalJSON(json)
}
