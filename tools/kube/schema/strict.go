package schema

import "regexp"

// deprecated is how Kubernetes' descriptions say that something will go.
var deprecated = regexp.MustCompile(`^(Deprecated|DEPRECATED|deprecated)\b|\bDeprecated: `)

// strict turns a schema as OpenAPI writes it into one that refuses unknown fields, in place, and returns it.
//
// An object with named properties takes no others, unless the schema says that it does. Below allOf, anyOf, oneOf and not
// stand conditions about an object that is described elsewhere; they are left open.
func strict(schema node) node {
	if schema["x-kubernetes-int-or-string"] == true || schema["format"] == "int-or-string" {
		return node{"type": []any{"string", "integer"}}
	}
	if text, ok := schema["type"].(string); ok && schema["nullable"] == true {
		schema["type"] = []any{text, "null"}
	}
	if text, _ := schema["description"].(string); deprecated.MatchString(text) {
		schema["deprecated"] = true
	}
	open := schema["x-kubernetes-preserve-unknown-fields"] == true
	if properties, ok := schema["properties"].(node); ok {
		for name, property := range properties {
			properties[name] = strict(asNode(property))
		}
		if _, said := schema["additionalProperties"]; !said && !open {
			schema["additionalProperties"] = false
		}
	}
	if values, ok := schema["additionalProperties"].(node); ok {
		schema["additionalProperties"] = strict(values)
	}
	if items, ok := schema["items"].(node); ok {
		schema["items"] = strict(items)
	}
	for _, name := range []string{"description", "default", "format", "nullable", "example", "externalDocs"} {
		// Descriptions are most of the bytes; formats are Go's names of numbers, which JSON schema does not know.
		delete(schema, name)
	}
	return schema
}

func asNode(value any) node {
	n, _ := value.(node)
	if n == nil {
		n = node{}
	}
	return n
}
