// Command release keeps the kustomize component that pins a release.
//
// usage: release write ROOT DIGESTS   write the component from the builder's digests
//
//	release check ROOT           say what is wrong with the component
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/concord-suite/concord/tools/images/internal/release"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "write":
		pinned, err := release.Read(args[2])
		if err != nil {
			return err
		}
		return pinned.Write(args[1])
	case len(args) == 2 && args[0] == "check":
		wrong, err := release.Check(args[1])
		for _, line := range wrong {
			err = errors.Join(err, fmt.Errorf("%s: %s", release.File, line))
		}
		return err
	}
	return errors.New("usage: release write ROOT DIGESTS | release check ROOT")
}
