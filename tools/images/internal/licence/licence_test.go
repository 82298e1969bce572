package licence_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/images/internal/licence"
	"github.com/concord-suite/concord/tools/images/internal/part"
)

// The NATS server is the part whose modules are few and of several licences.
func TestLicencesOfTheServer(t *testing.T) {
	data, err := licence.Text(t.Context(), "../../../..", "tools/images/nats", "./nats-server", "amd64")
	require.NoError(t, err)
	text := string(data)
	for _, module := range []string{
		"\ngo\n", "\ngithub.com/concord-suite/concord/tools/images/nats\n", "\ngithub.com/nats-io/nats-server/v2 v2.15.2\n", "\ngithub.com/klauspost/compress ",
	} {
		require.True(t, strings.Contains(text, module), module)
	}
	require.True(t, strings.Contains(text, "Mozilla Public License 2.0"))
	require.True(t, strings.Contains(text, "Copyright 2009 The Go Authors."))
	require.Equal(t, 1, strings.Count(text, "\ngithub.com/nats-io/nkeys "), "each module once for each of its texts")

	again, err := licence.Text(t.Context(), "../../../..", "tools/images/nats", "./nats-server", "amd64")
	require.NoError(t, err)
	require.True(t, text == string(again), "the same each time")
}

// A folder of a module can hold code of others. A module without a licence is refused.
func TestLicencesOfFolders(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	write("LICENSE", "ours")
	write("program/go.mod", "module "+part.Prefix+"program\n\ngo 1.26.0\n\nrequire example.com/other v0.0.0\n\nreplace example.com/other => ../other\n")
	write("program/main.go", "package main\n\nimport _ \"example.com/other/borrowed\"\n\nfunc main() {}\n")
	write("other/go.mod", "module example.com/other\n\ngo 1.26.0\n")
	write("other/borrowed/borrowed.go", "// Package borrowed is of others.\npackage borrowed\n")
	write("other/left/LICENSE", "of what is not linked")

	_, err := licence.Text(t.Context(), root, "program", ".", "amd64")
	require.ErrorContains(t, err, "example.com/other v0.0.0 has no licence")

	write("other/borrowed/COPYING", "the borrowed one's")
	write("other/LICENCE.md", "the other one's")
	data, err := licence.Text(t.Context(), root, "program", ".", "amd64")
	require.NoError(t, err)
	for _, text := range []string{
		part.Prefix + "program\n\nours\n", "example.com/other v0.0.0\n\nthe borrowed one's\n", "example.com/other v0.0.0\n\nthe other one's\n",
	} {
		require.True(t, strings.Contains(string(data), text), text)
	}
	require.False(t, strings.Contains(string(data), "not linked"))
}
