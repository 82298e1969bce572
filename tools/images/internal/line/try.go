package line

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/concord-suite/concord/tools/images/internal/maker"
	"github.com/concord-suite/concord/tools/images/internal/trial"
)

// expectation is a run of a program and how it must end.
type expectation struct {
	args []string
	env  []string
	code int
	says string // a part of what it prints
}

// exitSettings is how the suite's programs end when their settings are wrong.
const exitSettings = 2

// try runs the programs alone, those of another architecture by an emulator. It returns the platforms that this machine
// cannot run.
func try(ctx context.Context, image *maker.Image) (untried []string, err error) {
	for _, p := range image.Platforms {
		emulator, err := trial.Emulator(p.Platform.Architecture)
		if p.Platform.OS != runtime.GOOS || err != nil {
			untried = append(untried, p.Platform.String())
			continue
		}
		folder, err := os.MkdirTemp("", "concord-image")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder)
		room, err := trial.Extract(p.Image, filepath.Join(folder, image.Part.Name))
		if err != nil {
			return nil, err
		}
		if err := tryIn(ctx, room.Emulated(emulator), image); err != nil {
			return nil, fmt.Errorf("%s for %s: %w", image.Part.Name, p.Platform, err)
		}
	}
	return untried, nil
}

func tryIn(ctx context.Context, room *trial.Room, image *maker.Image) error {
	runs := server()
	if image.Part.Suite {
		runs = suite(image.Part.Name)
	}
	if err := room.Mount("/etc/concord/trial.conf", []byte("port: 4222\njetstream { store_dir: /tmp/js }\n")); err != nil {
		return err
	}
	for _, run := range runs {
		result, err := room.Run(ctx, image.Part.Binary(), run.args, run.env)
		if err != nil {
			return err
		}
		if result.Code != run.code || !strings.Contains(result.Out, run.says) {
			return fmt.Errorf("alone, with %q, it ends with %d (and not %d, saying %q):\n%s", run.args, result.Code, run.code, run.says, result.Out)
		}
		if len(result.Written) > 0 {
			return fmt.Errorf("alone, with %q, it leaves %s", run.args, strings.Join(result.Written, ", "))
		}
	}
	return nil
}

// suite is what every program of the suite does without a database, a bus or a network. Without settings it must come as far
// as saying which are missing.
func suite(name string) []expectation {
	upper := "CONCORD_" + strings.ToUpper(name) + "_"
	return []expectation{
		{args: []string{"version"}, says: "concord-" + name + " "},
		{args: []string{"config", "doc"}, says: upper},
		{args: []string{"config", "check"}, code: exitSettings, says: upper},
		{code: exitSettings, says: upper},
	}
}

// server is what the NATS server does likewise.
func server() []expectation {
	return []expectation{
		{args: []string{"--version"}, says: "nats-server: v2."},
		{args: []string{"-t", "-c", "/etc/concord/trial.conf"}, says: "is valid"},
	}
}
