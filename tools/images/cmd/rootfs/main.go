// Command rootfs writes what every image holds besides its program into a folder: for the Dockerfile, so that both ways to
// an image give the same files.
//
// usage: rootfs FOLDER
package main

import (
	"fmt"
	"os"

	"github.com/concord-suite/concord/tools/images/internal/rootfs"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: rootfs FOLDER")
		os.Exit(2)
	}
	if err := rootfs.Write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "rootfs:", err)
		os.Exit(1)
	}
}
