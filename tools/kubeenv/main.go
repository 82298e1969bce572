// Command kubeenv is a Kubernetes control plane in one program, and the trial of deploy/k8s against it.
//
// usage: kubeenv trial [-limit DURATION] [-only NAME] DEPLOY/K8S
//
// The program is also each part of the control plane: it runs itself again under the part's name (kube-apiserver with
// its etcd, kube-controller-manager, kube-scheduler, kwok) and as kubectl. Parts are processes because feature gates,
// versions and metrics of Kubernetes are global to one.
package main

import (
	"fmt"
	"os"

	"github.com/concord-suite/concord/tools/kubeenv/internal/plane"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	// A part reads its own arguments, some of them from os.Args.
	name := os.Args[1]
	os.Args = os.Args[1:]
	switch name {
	case plane.APIServer:
		apiServer()
	case plane.ControllerManager:
		controllerManager()
	case plane.Scheduler:
		scheduler()
	case plane.Nodes:
		nodes()
	case plane.Kubectl:
		kubectl()
	case "trial":
		try()
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: kubeenv trial [-limit DURATION] [-only NAME] DEPLOY/K8S")
	os.Exit(2)
}
