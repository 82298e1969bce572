// Package promise looks into an image for what the suite promises of all its images, and says what is broken: who runs what,
// which files there are, how the program was built, and that the list of contents is true. It is asked of every image
// before it is written or pushed, so there is no image that was not looked into.
package promise

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/concord-suite/concord/tools/images/internal/part"
	"github.com/concord-suite/concord/tools/images/internal/rootfs"
)

// Subject is the image of one platform.
type Subject struct {
	Part     part.Part
	Platform v1.Platform
	Version  string
	Image    v1.Image
	SBOM     []byte
	// Places are folders of the machine that built it, which must not be found in the program: a program that knows where
	// it was built is another one elsewhere.
	Places []string
}

// Facts are what is worth showing of an image.
type Facts struct {
	Size     int64 // bytes of the layers, as a node pulls them
	Packages int   // modules that the list of contents names
}

// Check returns what is broken, one sentence each; an error when the image cannot be read.
func Check(s Subject) (Facts, []string, error) {
	var facts Facts
	config, err := s.Image.ConfigFile()
	if err != nil {
		return facts, nil, err
	}
	found, size, err := read(s.Image)
	if err != nil {
		return facts, nil, err
	}
	facts.Size = size
	broken := append(s.config(config), s.files(found)...)
	binary, ok := found[s.Part.Binary()]
	if !ok {
		return facts, append(broken, s.Part.Binary()+" is not there"), nil
	}
	broken = append(broken, executable(s.Platform, binary.data)...)
	info, err := buildinfo.Read(bytes.NewReader(binary.data))
	if err != nil {
		return facts, append(broken, "the program does not say how it was built: "+err.Error()), nil
	}
	broken = append(broken, s.built(info)...)
	for _, place := range s.Places {
		if bytes.Contains(binary.data, []byte(place)) {
			broken = append(broken, "the program knows the folder "+place)
		}
	}
	broken = append(broken, licences(found["/"+rootfs.Licences].data, info)...)
	packages, wrong := contents(s.SBOM, info)
	facts.Packages = packages
	return facts, append(broken, wrong...), nil
}

// config is what a node does with the image when nobody says otherwise.
func (s Subject) config(c *v1.ConfigFile) []string {
	var broken []string
	want := func(what, got, wanted string) {
		if got != wanted {
			broken = append(broken, fmt.Sprintf("%s is %q and not %q", what, got, wanted))
		}
	}
	want("the user", c.Config.User, rootfs.User)
	want("the entry point", strings.Join(c.Config.Entrypoint, " "), s.Part.Binary())
	want("the command", strings.Join(c.Config.Cmd, " "), "")
	want("the platform", c.OS+"/"+c.Architecture, s.Platform.OS+"/"+s.Platform.Architecture)
	want("the version", c.Config.Labels["org.opencontainers.image.version"], s.Version)
	want("the licence", c.Config.Labels["org.opencontainers.image.licenses"], "Apache-2.0")
	if c.Created.Unix() != 0 {
		broken = append(broken, "it says when it was made")
	}
	if len(c.Config.Volumes) > 0 || len(c.Config.ExposedPorts) > 0 {
		broken = append(broken, "volumes and ports are for the manifests to say")
	}
	for _, env := range c.Config.Env {
		if key, _, _ := strings.Cut(env, "="); key != "PATH" && key != "KO_DATA_PATH" {
			broken = append(broken, "it sets "+key)
		}
	}
	return broken
}

// built is how the program was compiled and what it is made of.
func (s Subject) built(info *debug.BuildInfo) []string {
	var broken []string
	if info.Path != s.Part.Package {
		broken = append(broken, "the program is "+info.Path)
	}
	wanted := map[string]string{"-trimpath": "true", "CGO_ENABLED": "0", "-buildmode": "exe", "GOOS": s.Platform.OS, "GOARCH": s.Platform.Architecture}
	for _, setting := range info.Settings {
		if value, ok := wanted[setting.Key]; ok && value == setting.Value {
			delete(wanted, setting.Key)
		}
		if strings.HasPrefix(setting.Key, "vcs") {
			broken = append(broken, "the program knows the commit: "+setting.Key)
		}
	}
	for key, value := range wanted {
		broken = append(broken, fmt.Sprintf("the program was not built with %s=%s", key, value))
	}
	for _, module := range info.Deps {
		if s.Part.Suite && slices.Contains(foreign(), module.Path) {
			broken = append(broken, module.Path+" is linked")
		}
		if local := strings.HasPrefix(module.Path, part.Prefix); module.Sum == "" && module.Replace == nil || module.Replace != nil && !local {
			broken = append(broken, module.Path+" is not what go.sum says")
		}
	}
	slices.Sort(broken)
	return broken
}

// foreign are modules that no service may have: the server is a part of its own, and the simulated world no part at all.
func foreign() []string {
	return []string{"github.com/nats-io/nats-server/v2", part.Prefix + "sim", part.Prefix + "allinone", part.Prefix + "test"}
}
