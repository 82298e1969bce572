// Package licence gathers the licences of what a program is made of. Nearly all of them ask that their text comes with the
// program, and an image is how the program comes.
package licence

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/concord-suite/concord/tools/images/internal/part"
)

// notice are the names of files that say what may be done with what lies beside and below them.
var notice = regexp.MustCompile(`(?i)^((un)?licen[cs]e|copying|copyright|notice|patents)([-.].*)?$`)

// authorities is said of the one file in an image that is data of others.
const authorities = `/etc/ssl/certs/ca-certificates.crt is made from Mozilla's list of authorities (certdata.txt of NSS), which is under the
Mozilla Public License 2.0, https://mozilla.org/MPL/2.0/.
`

// module is what the go command says of one.
type module struct{ name, dir string }

// Text returns the licences of everything that the program of a package links for linux and an architecture: each text once,
// under the names of the modules that it is of. A module without one is an error: it must not be given to others.
//
// root is the repository, whose own licence is that of all modules in it; dir is the module's folder in it.
func Text(ctx context.Context, root, dir, pkg, architecture string) ([]byte, error) {
	folders, err := linked(ctx, filepath.Join(root, dir), pkg, architecture)
	if err != nil {
		return nil, err
	}
	of := map[string][]string{} // names by text
	add := func(name string, texts []string, where string) error {
		if len(texts) == 0 {
			return fmt.Errorf("%s has no licence in %s", name, where)
		}
		for _, text := range texts {
			if !slices.Contains(of[text], name) {
				of[text] = append(of[text], name)
			}
		}
		return nil
	}
	for _, m := range slices.SortedFunc(maps.Keys(folders), func(a, b module) int { return strings.Compare(a.name, b.name) }) {
		texts, where := []string{}, m.dir
		switch {
		case strings.HasPrefix(m.name, part.Prefix):
			where = root
			texts, err = in(root)
		default:
			texts, err = below(m.dir, folders[m])
		}
		if err != nil {
			return nil, err
		}
		if err := add(m.name, texts, where); err != nil {
			return nil, err
		}
	}
	return render(of), nil
}

// render writes the texts in the order of the names they are of.
func render(of map[string][]string) []byte {
	var out bytes.Buffer
	out.WriteString("What this program is made of, and under which licences.\n\n" + authorities)
	texts := slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		if c := slices.Compare(of[a], of[b]); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	for _, text := range texts {
		fmt.Fprintf(&out, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(of[text], "\n"), strings.TrimSpace(text))
	}
	return out.Bytes()
}

// linked asks the go command for the folders of all packages, by module. The standard library is the module "go", of one
// folder.
func linked(ctx context.Context, dir, pkg, architecture string) (map[module][]string, error) {
	goroot, err := command(ctx, dir, architecture, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	goroot = strings.TrimSpace(goroot)
	const line = "{{with .Module}}{{.Path}} {{.Version}}\t{{.Dir}}{{else}}\t{{end}}\t{{.Dir}}"
	out, err := command(ctx, dir, architecture, "list", "-deps", "-f", line, pkg)
	if err != nil {
		return nil, err
	}
	folders := map[module][]string{{name: "go", dir: goroot}: {goroot}}
	for text := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(text, "\n"), "\t")
		if len(fields) != 3 {
			return nil, fmt.Errorf("go list answers %q", text)
		}
		if m := (module{name: strings.TrimSpace(fields[0]), dir: fields[1]}); m.dir != "" {
			folders[m] = append(folders[m], fields[2])
		}
	}
	return folders, nil
}

// command runs the go command as the maker does, and returns what it prints.
func command(ctx context.Context, dir, architecture string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}

// below returns the texts in the folders of packages and in those above them, up to the module's. Some modules hold code of
// others in a folder with a licence of its own.
func below(top string, folders []string) ([]string, error) {
	var texts []string
	seen := map[string]bool{}
	for _, folder := range folders {
		for ; !seen[folder] && strings.HasPrefix(folder, top); folder = filepath.Dir(folder) {
			seen[folder] = true
			found, err := in(folder)
			if err != nil {
				return nil, err
			}
			texts = append(texts, found...)
		}
	}
	return texts, nil
}

// in returns the texts of one folder.
func in(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !notice.MatchString(entry.Name()) || strings.HasSuffix(entry.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}
