package schema

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// format is counted up when the code of this package gives other schemas from the same sources.
const format = "1"

// Location is where kubeconform finds the schemas in the folder that Make returns.
func Location(folder string) string {
	return filepath.Join(folder, "{{.ResourceKind}}{{.KindSuffix}}.json")
}

// Make returns a folder below cache with one schema for each kind, and makes it when it is not there: about ten seconds, and
// the download of the sources the first time.
func (s Sources) Make(cache string) (folder string, err error) {
	folder = filepath.Join(cache, "schemas-"+s.key())
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return folder, err
	}
	document, err := s.Kubernetes.fetch()
	if err != nil {
		return "", err
	}
	core, err := readCore(document)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// Written beside and moved, so that a run that was stopped leaves nothing that looks complete.
	unfinished, err := os.MkdirTemp(cache, "schemas-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(unfinished)
	if err := core.write(unfinished); err != nil {
		return "", err
	}
	for _, d := range s.Definitions {
		dir, err := d.fetch()
		if err != nil {
			return "", err
		}
		if err := writeDefinitions(unfinished, dir, core); err != nil {
			return "", err
		}
	}
	err = os.Rename(unfinished, folder)
	if _, gone := os.Stat(folder); gone == nil {
		return folder, nil // made here, or meanwhile by another process, out of the same sources
	}
	return "", err
}

// node is a piece of a schema.
type node = map[string]any

// writeSchema writes the schema of one kind.
func writeSchema(folder, group, version, kind string, schema node) error {
	data, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, fileName(group, version, kind)), data, 0o644)
}

// fileName is the name by which kubeconform asks for a schema: kind-group-version, the group up to its first dot, all in
// lower case.
func fileName(group, version, kind string) string {
	name := kind
	if first, _, _ := strings.Cut(group, "."); first != "" {
		name += "-" + first
	}
	return strings.ToLower(name+"-"+version) + ".json"
}

// fix makes what a schema says about the kind exact: one kind, one apiVersion.
func fix(properties node, group, version, kind string) {
	if group != "" {
		version = group + "/" + version
	}
	properties["apiVersion"] = node{"const": version}
	properties["kind"] = node{"const": kind}
}
