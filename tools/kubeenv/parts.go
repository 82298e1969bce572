package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	_ "time/tzdata" // CronJobs name time zones

	"github.com/spf13/pflag"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register" // part of the parts' own main programs
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduling "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwokcmd "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"

	"github.com/concord-suite/concord/tools/kubeenv/internal/plane"
	"github.com/concord-suite/concord/tools/kubeenv/internal/stage"
)

// apiServer serves the folder it is given on the socket it inherited.
func apiServer() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	socket := os.NewFile(3, "listener")
	listener, err := net.FileListener(socket)
	if err != nil {
		fail(err)
	}
	socket.Close()
	if err := plane.ServeAPI(ctx, os.Args[1], listener); err != nil {
		fail(err)
	}
}

// controllerManager relies on what SIGTERM does to a process that does not ask for it: it waits for nothing else.
func controllerManager() { os.Exit(cli.Run(controllers.NewControllerManagerCommand())) }

func scheduler() { os.Exit(cli.Run(scheduling.NewSchedulerCommand())) }

func kubectl() {
	if err := cli.RunNoErrOutput(kubectlcmd.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}

// nodes runs kwok with its stages: it does nothing when it is not told how nodes and pods behave.
func nodes() {
	stages, err := writeStages()
	if err != nil {
		fail(err)
	}
	os.Args = append(os.Args, stages...)
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ := kwoklog.InitFlags(context.Background(), flags)
	ctx, err = kwokconfig.InitFlags(ctx, flags)
	if err != nil {
		fail(err)
	}
	command := kwokcmd.NewCommand(ctx)
	command.Version = "" // its flag would meet that of Kubernetes' parts, which is no bool
	command.PersistentFlags().AddFlagSet(flags)
	if err := command.ExecuteContext(ctx); err != nil {
		fail(err)
	}
}

// writeStages writes the stages into the current folder and returns the arguments that name them.
func writeStages() ([]string, error) {
	files, err := stage.Files()
	if err != nil {
		return nil, err
	}
	var arguments []string
	for name, content := range files {
		path, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
		arguments = append(arguments, "--config="+path)
	}
	return arguments, nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "kubeenv:", err)
	os.Exit(1)
}
