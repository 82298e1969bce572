package part_test

import (
	"go/build"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/tools/images/internal/part"
)

const (
	repository = "../../../.."
	dockerfile = repository + "/deploy/docker/Dockerfile"
)

// instructions returns the Dockerfile's, one line each, by stage.
func instructions(t *testing.T) map[string][]string {
	data, err := os.ReadFile(dockerfile)
	require.NoError(t, err)
	text := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(string(data), "")
	text = regexp.MustCompile(`\\\n\s*`).ReplaceAllString(text, "")
	stages, stage := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "FROM ") {
			stage = line
		}
		if line != "" {
			stages[stage] = append(stages[stage], line)
		}
	}
	return stages
}

// What the Dockerfile's image is must be what a release's is, as far as a file can say it.
func TestDockerfileGivesTheImagesOfReleases(t *testing.T) {
	stages := instructions(t)
	final := stages["FROM scratch"]
	require.NotEmpty(t, final)
	require.Contains(t, final, "USER 65532:65532")
	require.Contains(t, final, `ENTRYPOINT ["/ko-app/part"]`)
	require.Contains(t, final, "ENV PATH=/ko-app")
	copies := 0
	for _, line := range final {
		require.NotContains(t, line, "RUN ", "there is nothing to run")
		if strings.HasPrefix(line, "COPY ") {
			copies++
			require.Equal(t, "COPY --from=build /out/ /", line)
		}
	}
	require.Equal(t, 1, copies)

	made := strings.Join(stages["FROM --platform=$BUILDPLATFORM golang:${GO} AS build"], "\n")
	for _, flag := range []string{
		"GOWORK=off", "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GOTOOLCHAIN=local", "-trimpath", "-buildvcs=false",
		`flags="-s -w"`, "-X " + part.Prefix + "platform/telemetry.version=$VERSION", `go -C tools/images run ./cmd/rootfs /out /src "$module" "$package"`,
	} {
		require.Contains(t, made, flag)
	}
}

// Every part can be asked for, under the folder and package that releases are built from.
func TestDockerfileKnowsEveryPart(t *testing.T) {
	text := strings.Join(instructions(t)["FROM --platform=$BUILDPLATFORM golang:${GO} AS build"], "\n")
	cases := regexp.MustCompile(`([a-z|]+)\) module=(\S+) package=\./(\S+) ;;`).FindAllStringSubmatch(text, -1)
	found := map[string]string{}
	for _, c := range cases {
		for name := range strings.SplitSeq(c[1], "|") {
			module := strings.ReplaceAll(c[2], "$PART", name)
			found[name] = module + "/" + strings.ReplaceAll(c[3], "$PART", name)
		}
	}
	want := map[string]string{}
	for _, p := range part.All() {
		want[p.Name] = strings.TrimPrefix(p.Package, part.Prefix)
		require.True(t, strings.HasPrefix(want[p.Name], p.Dir+"/"), p.Name)
		require.DirExists(t, filepath.Join(repository, want[p.Name]))
	}
	require.Equal(t, want, found)
}

// The context that docker sends holds every module that a part's go.mod names by its folder: the go command reads their
// go.mod even if it needs none of their packages.
func TestDockerContextHoldsEveryModule(t *testing.T) {
	data, err := os.ReadFile(dockerfile + ".dockerignore")
	require.NoError(t, err)
	sent := strings.Split(string(data), "\n")
	require.Subset(t, sent, []string{"!LICENSE", "!NOTICE", "!tools/images"}, "what comes along with every program, and who gathers it")
	for _, p := range part.All() {
		mod, err := os.ReadFile(filepath.Join(repository, p.Dir, "go.mod"))
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`=> (\.\S+)`).FindAllStringSubmatch(string(mod), -1) {
			folder := filepath.ToSlash(filepath.Join(p.Dir, match[1]))
			require.True(t, slices.Contains(sent, "!"+folder) || slices.Contains(sent, "!"+folder+"/go.mod"), "%s: %s is not in the context", p.Name, folder)
		}
		require.True(t, slices.Contains(sent, "!"+p.Dir) || slices.Contains(sent, "!"+strings.Split(p.Dir, "/")[0]) || slices.Contains(sent, "!tools/images"), p.Name)
	}
}

// Releases and Dockerfile are of the same Go, as far as go.mod says which is needed.
func TestDockerfileHasAGoThatWillDo(t *testing.T) {
	data, err := os.ReadFile(dockerfile)
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^ARG GO=(1\.\d+)\.\d+$`).FindSubmatch(data)
	require.NotNil(t, found)
	require.Contains(t, build.Default.ReleaseTags, "go"+string(found[1]))
}

func TestSelect(t *testing.T) {
	all, err := part.Select("")
	require.NoError(t, err)
	require.Len(t, all, 6)
	some, err := part.Select("nats,auth")
	require.NoError(t, err)
	require.Equal(t, "auth", some[0].Name)
	require.Equal(t, "/ko-app/nats-server", some[1].Binary())
	_, err = part.Select("auth,auth")
	require.ErrorContains(t, err, `no part "auth"`)
}
