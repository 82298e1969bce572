package telemetry

import (
	"fmt"
	"runtime/debug"
)

// Build says which code a program was built from.
type Build struct {
	Version  string // module version, or "devel"
	Revision string // commit, empty when the build did not record one
	Modified bool   // true when the tree had changes that were not committed
	Go       string // version of the Go toolchain
}

// ReadBuild returns what the linker recorded in the running program.
func ReadBuild() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "devel"}
	}
	b := Build{Version: info.Main.Version, Go: info.GoVersion}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String returns one line: "devel (commit 0123456789ab, modified) go1.26.0".
func (b Build) String() string {
	line := b.Version
	if b.Revision != "" {
		line += fmt.Sprintf(" (commit %.12s", b.Revision)
		if b.Modified {
			line += ", modified"
		}
		line += ")"
	}
	if b.Go != "" {
		line += " " + b.Go
	}
	return line
}
