package main

import (
	"fmt"
	"strings"

	"github.com/concord-suite/concord/tools/internal/workspace"
)

// drawers are names of folders that end up holding everything. A helper lives with its user until the third user.
var drawers = map[string]bool{
	"base": true, "common": true, "core": true, "helper": true, "helpers": true, "impl": true, "lib": true, "manager": true,
	"misc": true, "pkg": true, "shared": true, "util": true, "utils": true,
}

// maxFiles is how many files of a package people can keep in mind; tests and generated code do not count.
const maxFiles = 12

func (p pkg) shapeBreaks() []string {
	var breaks []string
	at := strings.TrimPrefix(p.ImportPath, workspace.Prefix)
	for part := range strings.SplitSeq(at, "/") {
		if drawers[part] {
			breaks = append(breaks, fmt.Sprintf("%s: a folder named %q says nothing: name what is in it", at, part))
		}
	}
	if len(p.GoFiles) > maxFiles && !strings.Contains(at, "/gen/") {
		breaks = append(breaks, fmt.Sprintf("%s: %d files, at most %d a package: split it by what it does", at, len(p.GoFiles), maxFiles))
	}
	return breaks
}
