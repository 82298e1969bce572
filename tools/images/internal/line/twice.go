package line

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/build"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/concord-suite/concord/tools/images/internal/part"
)

// places are the folders of this machine that no program may know.
func places(root string) []string {
	found := []string{root + "/", os.TempDir() + "/concord"}
	for _, folder := range filepath.SplitList(build.Default.GOPATH) {
		found = append(found, folder+"/")
	}
	if cache, err := os.UserCacheDir(); err == nil {
		found = append(found, cache+"/")
	}
	return found
}

// twice makes everything from two copies of the sources that lie elsewhere, the second with nothing cached and an environment
// that would change what the compiler makes, and compares the digests.
func (j Job) twice(ctx context.Context, w io.Writer, parts []part.Part, platforms []string) error {
	folder, err := os.MkdirTemp("", "images-twice")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	first := filepath.Join(folder, "a")
	second := filepath.Join(folder, "another/place/for the same/sources")
	if err := errors.Join(export(ctx, j.Root, first), export(ctx, first, second)); err != nil {
		return err
	}
	fmt.Fprintf(w, "first, in %s\n", first)
	firstMade, err := j.elsewhere(ctx, first, parts, platforms, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "second, in %s, with nothing cached\n", second)
	secondMade, err := j.elsewhere(ctx, second, parts, platforms, []string{
		"GOCACHE=" + filepath.Join(folder, "cache"), "TZ=Pacific/Auckland", "LANG=de_DE.UTF-8", "SOURCE_DATE_EPOCH=1700000000",
		"GOAMD64=v3", "GOARM64=v9.0", "GOFLAGS=-buildvcs=true", "GOEXPERIMENT=nogreenteagc", "CGO_ENABLED=1",
	})
	if err != nil {
		return err
	}
	if !bytes.Equal(firstMade, secondMade) {
		return fmt.Errorf("the same sources gave two sets of images:\n%s\n%s", firstMade, secondMade)
	}
	fmt.Fprintf(w, "the same digests:\n%s", firstMade)
	return nil
}

// elsewhere runs this program once more, as somebody else would, and returns the table that it prints.
func (j Job) elsewhere(ctx context.Context, root string, parts []part.Part, platforms, env []string) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.Name
	}
	cmd := exec.CommandContext(ctx, self, "-root", root, "-out", filepath.Join(root, "out"), "-version", j.Version,
		"-parts", strings.Join(names, ","), "-platforms", strings.Join(platforms, ","))
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	return cmd.Output()
}

// export copies what git knows or would know of a repository; a copy of a copy is all of it.
func export(ctx context.Context, from, to string) error {
	if _, err := os.Stat(filepath.Join(from, ".git")); errors.Is(err, os.ErrNotExist) {
		return os.CopyFS(to, os.DirFS(from))
	}
	cmd := exec.CommandContext(ctx, "git", "-C", from, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Stderr = os.Stderr
	list, err := cmd.Output()
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, data, 0o600)); err != nil {
			return err
		}
	}
	return nil
}
