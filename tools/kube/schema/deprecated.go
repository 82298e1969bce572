package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Deprecated lists what of an object its schema says will go: the kind itself ("") or the paths of fields. folder is what Make
// returned. A kind without a schema is an error.
func Deprecated(folder, apiVersion, kind string, object map[string]any) ([]string, error) {
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	data, err := os.ReadFile(filepath.Join(folder, fileName(group, version, kind)))
	if err != nil {
		return nil, err
	}
	var schema node
	if err := json.Unmarshal(data, &schema); err != nil {
		return nil, err
	}
	d := describer{definitions: asNode(schema["definitions"])}
	d.walk(schema, object, "")
	return d.found, nil
}

// describer walks an object along its schema.
type describer struct {
	definitions node
	found       []string
}

func (d *describer) walk(schema node, value any, path string) {
	if schema["deprecated"] == true {
		d.found = append(d.found, path)
	}
	if target, ok := schema["$ref"].(string); ok {
		schema = asNode(d.definitions[strings.TrimPrefix(target, reference)])
	}
	switch value := value.(type) {
	case map[string]any:
		properties := asNode(schema["properties"])
		for name, below := range value {
			next, known := properties[name]
			if !known {
				next = schema["additionalProperties"]
			}
			d.walk(asNode(next), below, strings.TrimPrefix(path+"."+name, "."))
		}
	case []any:
		for i, below := range value {
			d.walk(asNode(schema["items"]), below, fmt.Sprintf("%s[%d]", path, i))
		}
	}
}
