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
	// Where bytes are kept follows from the data directory.
	_, err := loadSettings(withDefault(environ, "CONCORD_DOCUMENTS_BLOB_DIR", "blobs"), file)
	return err
}

// PrintSettings writes the settings in force as YAML, one section per service, secrets left out.
func PrintSettings(w io.Writer, environ []string, file string) error {
	s, err := loadSettings(withDefault(environ, "CONCORD_DOCUMENTS_BLOB_DIR", "blobs"), file)
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
