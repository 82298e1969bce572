// Package part knows the parts of the suite that have an image: the services, the gateway, and the NATS server that they
// meet on. The server is a part of its own, so that no service's image has it.
package part

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Prefix begins the import path of every module of the suite.
const Prefix = "github.com/concord-suite/concord/"

// Registry is where releases are published: a part's image is Registry + "/" + Name.
const Registry = "ghcr.io/concord-suite/concord"

// Part is one program that has an image.
type Part struct {
	Name    string // the image's name, as in concord/auth of the manifests
	Dir     string // the folder of its module, relative to the repository
	Package string // import path of its main package
	Title   string // one line for people who see the image in a registry
	Suite   bool   // the program is ours and has the suite's commands; the other one is the NATS server
	Job     bool   // it has a database, hence a Job that migrates it
}

// All lists the parts in the order in which they are built and shown.
func All() []Part {
	return []Part{
		service("auth", "signs people in and keeps the audit ledger"),
		service("connector", "holds the connections to practice management systems"),
		service("sync", "keeps clients and contacts in step"),
		service("documents", "keeps folders and documents"),
		{
			Name: "gateway", Dir: "gateway", Package: Prefix + "gateway/cmd/gateway", Suite: true,
			Title: "Concord gateway: gives frontends the suite as REST",
		},
		{
			Name: "nats", Dir: "tools/images/nats", Package: Prefix + "tools/images/nats/nats-server",
			Title: "NATS server for Concord",
		},
	}
}

func service(name, what string) Part {
	return Part{
		Name: name, Dir: "services/" + name, Package: Prefix + "services/" + name + "/cmd/" + name, Suite: true, Job: true,
		Title: "Concord " + name + ": " + what,
	}
}

// Select returns the parts with the names given, separated by commas, in the order of All; all of them for "".
func Select(names string) ([]Part, error) {
	if names == "" {
		return All(), nil
	}
	wanted := strings.Split(names, ",")
	var chosen []Part
	for _, p := range All() {
		if i := slices.Index(wanted, p.Name); i >= 0 {
			chosen, wanted = append(chosen, p), slices.Delete(wanted, i, i+1)
		}
	}
	if len(wanted) > 0 {
		return nil, fmt.Errorf("there is no part %q", wanted[0])
	}
	return chosen, nil
}

// Binary is the path of the part's program in its image. The folder is ko's.
func (p Part) Binary() string { return "/ko-app/" + path.Base(p.Package) }
