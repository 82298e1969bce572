package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/concord-suite/concord/tools/kubeenv/internal/cluster"
	"github.com/concord-suite/concord/tools/kubeenv/internal/plane"
	"github.com/concord-suite/concord/tools/kubeenv/internal/render"
	"github.com/concord-suite/concord/tools/kubeenv/internal/trial"
)

func try() {
	flags := flag.NewFlagSet("trial", flag.ExitOnError)
	limit := flags.Duration("limit", 25*time.Minute, "end, failed, after this time; a quiet machine needs a minute and a half")
	only := flags.String("only", "", "try what has this in its name, for example overlays/small")
	flags.Parse(os.Args[1:]) // ends the program by itself
	if flags.NArg() != 1 {
		usage()
	}
	// Ends also when the terminal goes, or whoever reads what we print.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, fmt.Errorf("not done within %s", *limit))
	defer cancel()
	if err := run(ctx, flags.Arg(0), *only); err != nil {
		cancel()
		fail(err)
	}
}

// run starts a control plane in a folder of its own, tries what is in root, and removes both.
func run(ctx context.Context, root, only string) (err error) {
	start := time.Now()
	dir, err := os.MkdirTemp("", "kubeenv-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Links in the path of a temporary folder would lead kustomize astray.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	// Somebody may be at work on the files; what is applied again has to be what was applied.
	frozen := filepath.Join(dir, "k8s")
	if err := os.CopyFS(frozen, os.DirFS(root)); err != nil {
		return err
	}
	sets, err := chosen(frozen, only)
	if err != nil {
		return err
	}
	control, ctx, err := plane.Start(ctx, dir)
	if err != nil {
		return err
	}
	defer control.Stop()
	connection, err := cluster.Connect(control.Config())
	if err != nil {
		return err
	}
	version, err := connection.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	report := trial.NewReport(os.Stdout)
	report.Head("Kubernetes %s, ready in %s", version.GitVersion, time.Since(start).Round(100*time.Millisecond))
	err = (&trial.Trial{Kubectl: control.Kubectl, Cluster: connection, Report: report, Root: frozen, Sets: sets}).Run(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause // whatever else went wrong came of it
	}
	if err != nil {
		return err
	}
	report.Head("%d overlays and combinations tried in %s", len(sets), time.Since(start).Round(100*time.Millisecond))
	if failures := report.Failures(); len(failures) > 0 {
		return fmt.Errorf("%d failures:\n  %s", len(failures), strings.Join(failures, "\n  "))
	}
	return nil
}

func chosen(root, only string) ([]render.Set, error) {
	all, err := render.All(root, "overlays", "tests")
	if err != nil {
		return nil, err
	}
	var sets []render.Set
	for _, set := range all {
		if strings.Contains(set.Name, only) {
			sets = append(sets, set)
		}
	}
	if len(sets) == 0 {
		return nil, fmt.Errorf("no overlay or combination with %q in its name", only)
	}
	return sets, nil
}
