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
	wrong, err := p.parse(f, args[1:])
	if err != nil {
		return err
	}
	if err := wrong.err(); err != nil {
		return err
	}
	switch args[0] {
	case "check":
		return p.checkSettings(file)
	case "print":
		return node.PrintSettings(p.out, p.environ, file)
	case "doc":
		return node.DocumentSettings(p.out)
	}
	return &wrongUsage{fmt.Sprintf("config has no %q; it has check, print and doc", args[0])}
}

// checkSettings says whether the settings are right, and warns of those that do for a demonstration but not for serve.
func (p process) checkSettings(file string) error {
	if err := node.CheckSettings(p.environ, file); err != nil {
		return err
	}
	fmt.Fprintln(p.out, "the settings are right")
	if err := node.CheckServing(p.environ, file); err != nil {
		fmt.Fprintf(p.out, "warning: serve will not start: %v\n", err)
	}
	return nil
}
