package config

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readFile collects what the file says by key and refuses keys that are no setting. Its error means that the file could
// not be read or is no YAML.
func (l *loader) readFile(path, section string, fields []field) error {
	root, err := parseFile(path)
	if err != nil || root == nil {
		return err
	}
	if section != "" {
		if root = child(root, section); root == nil {
			return nil
		}
	}
	r := fileReader{loader: l, leaves: map[string]bool{}, branches: map[string]bool{}}
	for _, f := range fields {
		r.leaves[f.key] = true
		if f.secret {
			r.leaves[f.key+"_file"] = true
		}
		for parts := strings.Split(f.key, "."); len(parts) > 1; {
			parts = parts[:len(parts)-1]
			r.branches[strings.Join(parts, ".")] = true
		}
	}
	r.mapping(root, "")
	return nil
}

// parseFile returns the first value of a YAML file, nil for an empty file.
func parseFile(path string) (*yaml.Node, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	if doc.Kind == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// CheckSections refuses sections of a file other than the named ones, for a program that loads several services from one
// file: a misspelt section would otherwise be nobody's. The error is a Mistakes, or says why the file cannot be read.
func CheckSections(path string, names ...string) error {
	root, err := parseFile(path)
	if err != nil || root == nil {
		return err
	}
	l := &loader{}
	r := fileReader{loader: l}
	if root.Kind != yaml.MappingNode {
		r.refuse(root, "", "the file must hold sections")
	}
	for i := 0; root.Kind == yaml.MappingNode && i+1 < len(root.Content); i += 2 {
		if name := root.Content[i]; !slices.Contains(names, name.Value) {
			r.refuse(name, name.Value, "is not a section; there are "+strings.Join(names, ", "))
		}
	}
	if len(l.mistakes) > 0 {
		return l.mistakes
	}
	return nil
}

// child returns the value under a key of a mapping, or nil.
func child(node *yaml.Node, key string) *yaml.Node {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

type fileReader struct {
	*loader
	leaves, branches map[string]bool
}

func (r fileReader) refuse(node *yaml.Node, key, rule string) {
	r.mistakes = append(r.mistakes, Mistake{Key: key, Rule: fmt.Sprintf("%s (line %d of the file)", rule, node.Line)})
}

func (r fileReader) mapping(node *yaml.Node, path string) {
	if node.Kind != yaml.MappingNode {
		if node.Tag != "!!null" {
			r.refuse(node, path, "must hold keys and values")
		}
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		key := name.Value
		if path != "" {
			key = path + "." + key
		}
		if seen[key] {
			r.refuse(name, key, "stands twice")
			continue
		}
		seen[key] = true
		switch {
		case r.branches[key]:
			r.mapping(value, key)
		case r.leaves[key]:
			r.leaf(value, key)
		default:
			r.refuse(name, key, "is not a setting")
		}
	}
}

// leaf keeps the text of one setting. An empty or null value counts as not given, as an empty variable does.
func (r fileReader) leaf(node *yaml.Node, key string) {
	switch node.Kind {
	case yaml.ScalarNode:
		if node.Tag != "!!null" && node.Value != "" {
			r.fileValues[key] = node.Value
		}
	case yaml.SequenceNode:
		items := make([]string, 0, len(node.Content))
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				r.refuse(item, key, "must be a list of plain values")
				return
			}
			items = append(items, item.Value)
		}
		if len(items) > 0 { // the newline at the end marks a list even when it has one item
			r.fileValues[key] = strings.Join(items, "\n") + "\n"
		}
	default:
		r.refuse(node, key, "must be a plain value or a list")
	}
}
