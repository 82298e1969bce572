package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// core are the kinds of Kubernetes itself.
type core struct {
	definitions map[string]node
	kinds       []coreKind
}

type coreKind struct{ group, version, kind, definition string }

const (
	metadata  = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
	quantity  = "io.k8s.apimachinery.pkg.api.resource.Quantity"
	reference = "#/definitions/"
)

// readCore reads Kubernetes' OpenAPI document (version 2).
func readCore(path string) (*core, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var document struct{ Definitions map[string]node }
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c := &core{definitions: document.Definitions}
	for name, definition := range c.definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		for _, k := range kinds {
			k := asNode(k)
			group, _ := k["group"].(string)
			version, _ := k["version"].(string)
			kind, _ := k["kind"].(string)
			// What every group has for its own use (DeleteOptions, WatchEvent) is listed once with dozens of kinds.
			if properties := asNode(definition["properties"]); len(kinds) == 1 && properties["metadata"] != nil && !strings.HasSuffix(kind, "List") {
				c.kinds = append(c.kinds, coreKind{group, version, kind, name})
			}
		}
		c.definitions[name] = strict(definition)
	}
	// The API server takes a number too where it says string: "cpu: 2".
	c.definitions[quantity] = node{"type": []any{"string", "number"}}
	if len(c.kinds) == 0 || c.definitions[metadata] == nil {
		return nil, fmt.Errorf("%s: not the OpenAPI document of Kubernetes", path)
	}
	return c, nil
}

// write writes a schema for each kind.
func (c *core) write(folder string) error {
	for _, k := range c.kinds {
		properties := node{}
		for name, property := range asNode(c.definitions[k.definition]["properties"]) {
			properties[name] = property
		}
		schema := node{}
		for name, value := range c.definitions[k.definition] {
			schema[name] = value
		}
		fix(properties, k.group, k.version, k.kind)
		schema["properties"] = properties
		schema["required"] = []any{"apiVersion", "kind", "metadata"}
		c.complete(schema)
		if err := writeSchema(folder, k.group, k.version, k.kind, schema); err != nil {
			return err
		}
	}
	return nil
}

// complete puts the definitions into the schema that it refers to, directly and through others.
func (c *core) complete(schema node) {
	used := map[string]node{}
	var walk func(value any)
	walk = func(value any) {
		switch value := value.(type) {
		case []any:
			for _, v := range value {
				walk(v)
			}
		case node:
			if target, ok := value["$ref"].(string); ok {
				name := strings.TrimPrefix(target, reference)
				if _, seen := used[name]; !seen {
					used[name] = c.definitions[name]
					walk(c.definitions[name])
				}
			}
			for _, v := range value {
				walk(v)
			}
		}
	}
	walk(schema)
	if len(used) > 0 {
		schema["definitions"] = used
	}
}
