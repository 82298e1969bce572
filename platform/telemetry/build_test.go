package telemetry

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuildOf(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
		{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "0123456789abcdef"},
		{Key: "vcs.time", Value: "2026-03-01T12:00:00Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	require.Equal(t, "devel (commit 0123456789ab of 2026-03-01T12:00:00Z, modified) go1.26.0", buildOf(info, "").String())
	info.Settings[3].Value = "false"
	require.Equal(t, "devel (commit 0123456789ab of 2026-03-01T12:00:00Z) go1.26.0", buildOf(info, "").String())
	info.Settings = nil // a build outside a clone, or with -buildvcs=false
	require.Equal(t, "devel go1.26.0", buildOf(info, "").String())
	require.Equal(t, "1.2.0 go1.26.0", buildOf(info, "1.2.0").String())
}
