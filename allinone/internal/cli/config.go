package cli

import (
	"flag"
	"fmt"

	"github.com/concord-suite/concord/allinone/internal/node"
)

// config checks or prints settings.
func (p process) config(args []string) error {
	if len(args) == 0 {
		return &wrongUsage{"config needs check, print or doc"}
	}
	var file string
	f := flag.NewFlagSet("config "+args[0], flag.ContinueOnError)
	f.StringVar(&file, "config", "", "a YAML file with the settings, one section per service")
	if err := p.parse(f, args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "check":
		if err := node.CheckSettings(p.environ, file); err != nil {
			return err
		}
		fmt.Fprintln(p.out, "the settings are right")
		return nil
	case "print":
		return node.PrintSettings(p.out, p.environ, file)
	case "doc":
		return node.DocumentSettings(p.out)
	}
	return &wrongUsage{fmt.Sprintf("config has no %q; it has check, print and doc", args[0])}
}
