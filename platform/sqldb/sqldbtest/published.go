package sqldbtest

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

// Published fails the test unless every migration is in sums with the text that it has, and every one in sums is there.
// The lines of sums are as sha256sum writes them. A migration that is there ran on somebody's database: its text stands,
// and what is to be changed is changed by a new one, which gets a new line.
func Published(t *testing.T, migrations fs.FS, sums string) {
	t.Helper()
	published := map[string]string{}
	for line := range strings.Lines(sums) {
		if sum, name, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
			published[name] = sum
		}
	}
	for name, text := range texts(t, migrations) {
		digest := sha256.Sum256(text)
		switch sum := hex.EncodeToString(digest[:]); published[name] {
		case sum:
		case "":
			t.Errorf("%s is not among the published ones: add the line\n%s  %s", name, sum, name)
		default:
			t.Errorf("%s was changed after it was published: restore it, and put the change into a new migration", name)
		}
		delete(published, name)
	}
	for name := range published {
		t.Errorf("%s was published and is not there", name)
	}
}

// Former returns the migrations without those whose number is beyond last: what a release brought that ended there.
func Former(t *testing.T, migrations fs.FS, last string) fs.FS {
	t.Helper()
	former := fstest.MapFS{}
	for name, text := range texts(t, migrations) {
		if number, _, _ := strings.Cut(path.Base(name), "_"); number <= last {
			former[name] = &fstest.MapFile{Data: text}
		}
	}
	return former
}

func texts(t *testing.T, migrations fs.FS) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := fs.WalkDir(migrations, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		out[name], err = fs.ReadFile(migrations, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
