package node

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/concord-suite/concord/platform/config"
)

// order is the one in which settings are shown.
var order = []string{"auth", "connector", "sync", "documents", "gateway"}

// CheckSettings reads the settings of every service; what is wrong is a config.Mistakes.
func CheckSettings(environ []string, file string) error {
	_, err := checkedSettings(environ, file)
	return err
}

// CheckServing is CheckSettings for a suite that real people sign in to.
func CheckServing(environ []string, file string) error {
	s, err := checkedSettings(environ, file)
	if err != nil {
		return err
	}
	if wrong := s.undeliverable(); len(wrong) > 0 {
		return wrong
	}
	return nil
}

func checkedSettings(environ []string, file string) (settings, error) {
	// The flags of serve say where the suite is; these are their defaults.
	return loadSettings(withPlaces(environ, onOneMachine, "blobs"), file)
}

// PrintSettings writes the settings in force as YAML, one section per service, secrets left out.
func PrintSettings(w io.Writer, environ []string, file string) error {
	s, err := checkedSettings(environ, file)
	if err != nil {
		return err
	}
	for _, name := range order {
		var section bytes.Buffer
		if err := config.Print(&section, s.of()[name]); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s:\n", name)
		for line := range strings.Lines(section.String()) {
			fmt.Fprint(w, "  "+line)
		}
	}
	return nil
}

// DocumentSettings writes a table of all settings.
func DocumentSettings(w io.Writer) error {
	var s settings
	for _, name := range order {
		fmt.Fprintf(w, "\n## %s\n\n", name)
		if err := config.Doc(w, name, s.of()[name]); err != nil {
			return err
		}
	}
	return nil
}
