// Command sim serves the simulated upstream world of Concord.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/concord-suite/concord/sim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := sim.Run(ctx, os.Args[1:], time.Now, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
