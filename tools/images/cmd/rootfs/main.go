// Command rootfs writes what every image holds besides its program into a folder: for the Dockerfile, so that both ways to
// an image give the same files.
//
// usage: rootfs FOLDER REPOSITORY MODULE PACKAGE
//
// MODULE is the folder of the module whose program the image is of, and PACKAGE its main package; their licences are among
// the files. TARGETARCH is the architecture, the builder's own when it is empty.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/concord-suite/concord/tools/images/internal/licence"
	"github.com/concord-suite/concord/tools/images/internal/rootfs"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: rootfs FOLDER REPOSITORY MODULE PACKAGE")
		os.Exit(2)
	}
	text, err := licence.Text(context.Background(), os.Args[2], os.Args[3], os.Args[4], os.Getenv("TARGETARCH"))
	if err == nil {
		err = rootfs.Write(os.Args[1], text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rootfs:", err)
		os.Exit(1)
	}
}
