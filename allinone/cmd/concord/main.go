// Command concord is the whole suite in one program.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/concord-suite/concord/allinone/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := cli.Run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
