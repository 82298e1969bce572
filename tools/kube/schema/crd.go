package schema

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// definition is a CustomResourceDefinition.
type definition struct {
	Kind string
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Served bool
			Schema struct{ OpenAPIV3Schema node }
		}
	}
}

// writeDefinitions writes a schema for each version that the definitions below dir serve.
func writeDefinitions(folder, dir string, c *core) error {
	found := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, text := range bytes.Split(data, []byte("\n---")) {
			var d definition
			if err := yaml.Unmarshal(text, &d); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if d.Kind != "CustomResourceDefinition" {
				continue
			}
			found++
			if err := d.write(folder, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && found == 0 {
		err = fmt.Errorf("%s: no CustomResourceDefinition", dir)
	}
	return err
}

func (d definition) write(folder string, c *core) error {
	for _, v := range d.Spec.Versions {
		if !v.Served {
			continue
		}
		schema := strict(v.Schema.OpenAPIV3Schema)
		properties := asNode(schema["properties"])
		fix(properties, d.Spec.Group, v.Name, d.Spec.Names.Kind)
		properties["metadata"] = node{"$ref": reference + metadata}
		schema["properties"] = properties
		schema["required"] = []any{"apiVersion", "kind", "metadata", "spec"}
		if properties["spec"] == nil {
			schema["required"] = []any{"apiVersion", "kind", "metadata"}
		}
		c.complete(schema)
		if err := writeSchema(folder, d.Spec.Group, v.Name, d.Spec.Names.Kind, schema); err != nil {
			return err
		}
	}
	return nil
}
