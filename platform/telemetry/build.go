package telemetry

import (
	"fmt"
	"runtime/debug"
)

// version is the release's, which the linker sets in images: they know no commit, so that the same sources give the same
// image wherever they lie.
var version string

// Build says which code a program was built from.
type Build struct {
	Version  string // of the release or the module, or "devel"
	Revision string // commit, empty when the build did not record one (outside a clone, or with -buildvcs=false)
	Time     string // when it was committed, RFC 3339, UTC
	Modified bool   // true when the tree had changes that were not committed
	Go       string // version of the Go toolchain
}

// ReadBuild returns what the linker recorded in the running program.
func ReadBuild() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "devel"}
	}
	return buildOf(info, version)
}

func buildOf(info *debug.BuildInfo, release string) Build {
	b := Build{Version: info.Main.Version, Go: info.GoVersion}
	switch {
	case release != "":
		b.Version = release
	case b.Version == "" || b.Version == "(devel)":
		b.Version = "devel"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String returns one line: "devel (commit 0123456789ab of 2026-03-01T12:00:00Z, modified) go1.26.0".
func (b Build) String() string {
	line := b.Version
	if b.Revision != "" {
		line += fmt.Sprintf(" (commit %.12s", b.Revision)
		if b.Time != "" {
			line += " of " + b.Time
		}
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
