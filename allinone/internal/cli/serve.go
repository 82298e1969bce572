package cli

import (
	"context"
	"flag"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-suite/concord/allinone/internal/node"
)

// serve is the suite for a real practice.
func (p process) serve(ctx context.Context, args []string) error {
	var c common
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	c.register(f, "", "127.0.0.1:9090", "info")
	wrong, err := p.parse(f, args)
	if err != nil {
		return err
	}
	c.check(wrong)
	if err := wrong.take(node.CheckServing(p.environ, c.file)); err != nil {
		return err
	}
	if err := wrong.err(); err != nil {
		return err
	}
	n, err := node.New(ctx, c.node(p.environ, p.err))
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.Run(ctx) })
	group.Go(func() error {
		if err := awaitReady(ctx, n); err != nil {
			return err
		}
		p.announce(n)
		return nil
	})
	return group.Wait()
}

// announce says where the suite is. The setup code is for whoever stands at this console.
func (p process) announce(n *node.Node) {
	fmt.Fprintf(p.out, "REST  %s\n", n.URL)
	if n.GRPC != "" {
		fmt.Fprintf(p.out, "gRPC  %s\n", n.GRPC)
	}
	if n.SetupCode != "" {
		fmt.Fprintf(p.out, "setup code  %s  (claims the installation, once)\n", n.SetupCode)
	}
	fmt.Fprintln(p.out, "ready")
}

const (
	// readyWait bounds the start of all services together; a second is normal.
	readyWait = time.Minute
	readyAsk  = 10 * time.Millisecond
)

// awaitReady waits until every service can work.
func awaitReady(ctx context.Context, n *node.Node) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyWait, fmt.Errorf("not every service was ready within %s", readyWait))
	defer cancel()
	tick := time.NewTicker(readyAsk)
	defer tick.Stop()
	for {
		err := n.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
