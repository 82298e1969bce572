package promise

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
)

// spdx is what is read of a list of contents.
type spdx struct {
	Version  string `json:"spdxVersion"`
	Packages []struct {
		Name    string `json:"name"`
		Version string `json:"versionInfo"`
	} `json:"packages"`
}

// contents compares the list of contents with what the program says of itself, and returns how many modules it names.
func contents(list []byte, info *debug.BuildInfo) (int, []string) {
	var document spdx
	if err := json.Unmarshal(list, &document); err != nil {
		return 0, []string{"the list of contents cannot be read: " + err.Error()}
	}
	var broken []string
	if document.Version != "SPDX-2.3" {
		broken = append(broken, "the list of contents is of version "+document.Version)
	}
	listed := map[string]string{}
	for _, p := range document.Packages {
		listed[p.Name] = p.Version
	}
	modules := append(slices.Clone(info.Deps), &debug.Module{Path: info.Main.Path})
	count := 0
	for _, module := range modules {
		version, ok := listed[module.Path]
		switch {
		case !ok:
			broken = append(broken, "the list of contents leaves out "+module.Path)
		case version != module.Version:
			broken = append(broken, fmt.Sprintf("the list of contents has %s %s and not %s", module.Path, version, module.Version))
		default:
			count++
		}
	}
	return count, broken
}

// licences says which of the program's modules the file of licences leaves out.
func licences(text []byte, info *debug.BuildInfo) []string {
	var broken []string
	for _, module := range info.Deps {
		if !bytes.Contains(text, []byte("\n"+module.Path+" "+module.Version+"\n")) {
			broken = append(broken, "the licence of "+module.Path+" is not there")
		}
	}
	return broken
}
