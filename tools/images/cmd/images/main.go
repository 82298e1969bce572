// Command images builds the images of the suite, looks into each for what is promised of it, tries the programs alone, and
// writes OCI layouts, lists of contents and digests.
//
// usage: images [-root DIR] [-out DIR] [-parts a,b] [-platforms p,q] [-version V] [-push REGISTRY/PREFIX] [-again]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/concord-suite/concord/tools/images/internal/line"
	"github.com/concord-suite/concord/tools/images/internal/trial"
)

func main() {
	trial.Enter()
	var job line.Job
	flag.StringVar(&job.Root, "root", ".", "the repository")
	flag.StringVar(&job.Out, "out", ".cache/images", "where the images are written")
	flag.StringVar(&job.Version, "version", "devel", "the release's version, 1.2.0")
	flag.StringVar(&job.Push, "push", "", "registry and prefix to push to; nowhere when empty")
	parts := flag.String("parts", "", "parts, separated by commas; all when empty")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "platforms, separated by commas")
	again := flag.Bool("again", false, "build everything twice, elsewhere and with nothing cached, and compare")
	flag.Parse()
	log.SetOutput(io.Discard) // ko talks to it
	// ko looks for packages in this process's environment, and a part is a module by itself.
	err := errors.Join(os.Setenv("GOWORK", "off"), os.Setenv("GOFLAGS", ""))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	if err == nil {
		err = job.Do(ctx, os.Stdout, *parts, strings.Split(*platforms, ","), *again)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}
