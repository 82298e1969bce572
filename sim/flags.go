package sim

import (
	"errors"
	"flag"
	"fmt"
	"strings"
)

// parseFlags reads args into flags and goes on behind a mistake, so that all of them are told: one line each, by flag.
// The error is flag.ErrHelp when help is asked for.
func parseFlags(flags *flag.FlagSet, args []string) (wrong []string, err error) {
	for len(args) > 0 {
		err := flags.Parse(args)
		args = flags.Args()
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		if err == nil && len(args) > 0 {
			wrong, args = append(wrong, fmt.Sprintf("takes flags only, not %q", args[0])), args[1:]
		}
		if err == nil {
			continue
		}
		said := err.Error()
		wrong = append(wrong, said)
		if strings.HasPrefix(said, "bad flag syntax") {
			args = args[1:] // the package has left it there
		}
		if strings.HasPrefix(said, "flag provided but not defined") && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
			args = args[1:] // its value, as it seems
		}
	}
	return wrong, nil
}
