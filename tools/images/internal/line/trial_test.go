package line_test

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/images/internal/trial"
)

func TestAProgramAlone(t *testing.T) {
	image := makeTiny(t, "testdata/repo", runtime.GOOS+"/"+runtime.GOARCH)
	room, err := trial.Extract(image.Platforms[0].Image, filepath.Join(t.TempDir(), "room"))
	require.NoError(t, err)
	require.NoError(t, room.Mount("/etc/concord/mounted", []byte("a secret")))

	t.Run("finds its image and what is mounted", func(t *testing.T) {
		t.Setenv("OUTSIDE", "1")
		result, err := room.Run(t.Context(), "/ko-app/tiny", nil, []string{"INSIDE=2"})
		require.NoError(t, err)
		require.Zero(t, result.Code, result.Out)
		require.Contains(t, result.Out, "here I am as 65532 65532 process 1\n")
		require.Contains(t, result.Out, "environment INSIDE=2\n")
		require.Contains(t, result.Out, "root [d etc/ d ko-app/ - licences.txt d tmp/ d var/] <nil>\n")
		require.Contains(t, result.Out, "mounted a secret <nil>\n")
		require.Empty(t, result.Written)
	})
	t.Run("writes to /tmp alone, and is seen", func(t *testing.T) {
		result, err := room.Run(t.Context(), "/ko-app/tiny", []string{"/tmp/left", "/etc/left", "/ko-app/tiny", "/left"}, nil)
		require.NoError(t, err)
		require.Equal(t, 3, result.Code, result.Out)
		require.Contains(t, result.Out, "write /tmp/left <nil>\n")
		for _, name := range []string{"/etc/left", "/left"} {
			require.Contains(t, result.Out, "write "+name+" open "+name+": read-only file system\n")
		}
		require.NotContains(t, result.Out, "write /ko-app/tiny <nil>\n")
		require.Equal(t, []string{"/tmp/left"}, result.Written)
	})
	t.Run("is nothing when there is no such program", func(t *testing.T) {
		result, err := room.Run(t.Context(), "/bin/sh", nil, nil)
		require.NoError(t, err)
		require.Equal(t, 125, result.Code)
		require.Contains(t, result.Out, "not started")
	})
}

// The other architecture's program runs by an emulator, in the same room, where the machine has one.
func TestAProgramOfAnotherArchitectureAlone(t *testing.T) {
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	image := makeTiny(t, "testdata/repo", "linux/"+other)
	room, err := trial.Extract(image.Platforms[0].Image, filepath.Join(t.TempDir(), "room"))
	require.NoError(t, err)
	emulator, missing := trial.Emulator(other)
	if missing != nil { // then it is said, and the program is not started as if it were the machine's own
		require.ErrorContains(t, missing, "static")
		result, err := room.Run(t.Context(), "/ko-app/tiny", nil, nil)
		require.NoError(t, err)
		require.Equal(t, 125, result.Code, result.Out)
		return
	}
	result, err := room.Emulated(emulator).Run(t.Context(), "/ko-app/tiny", []string{"/tmp/left", "/etc/left"}, []string{"INSIDE=2"})
	require.NoError(t, err)
	require.Equal(t, 3, result.Code, result.Out)
	require.Contains(t, result.Out, "here I am as 65532 65532 process 1\n")
	require.Contains(t, result.Out, "environment INSIDE=2\n")
	require.Contains(t, result.Out, "root [d etc/ d ko-app/ - licences.txt d tmp/ d var/] <nil>\n")
	require.Contains(t, result.Out, "write /etc/left open /etc/left: read-only file system\n")
	require.Equal(t, []string{"/tmp/left"}, result.Written)
}
