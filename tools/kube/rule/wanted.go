package rule

import (
	"slices"
	"strings"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/program"
)

// bus is the name of the NATS servers' pods.
const bus = "nats"

// Calls are the services that each program calls, as the programs say: by the name of the port on which the other answers.
func Calls(programs map[string]*program.Program) ([]Flow, error) {
	var calls []Flow
	for _, p := range programs {
		peers, err := p.Peers()
		if err != nil {
			return nil, err
		}
		for _, peer := range peers {
			if service, internal := strings.CutSuffix(peer, "-http"); internal {
				calls = append(calls, Flow{p.Name, service, "bytes"})
			} else {
				calls = append(calls, Flow{p.Name, peer, "grpc"})
			}
		}
	}
	return calls, nil
}

// Wanted are the connections between the pods of a rendering that the programs need: their calls, the bus, the database when
// it is one of the pods.
func Wanted(s *manifest.Set, programs map[string]*program.Program, calls []Flow) []Flow {
	wanted := slices.Clone(calls)
	hasBus := slices.ContainsFunc(ends(s), func(e end) bool { return e.name == bus })
	if hasBus {
		wanted = append(wanted, Flow{bus, bus, "cluster"})
	}
	for _, o := range s.Of("Cluster") { // replication, joining and failover
		wanted = append(wanted, Flow{o.Name(), o.Name(), "postgresql"}, Flow{o.Name(), o.Name(), "status"})
	}
	for _, w := range s.Workloads {
		p := programs[manifest.Program(w.Pod().Containers[0])]
		if p == nil {
			continue
		}
		name := w.Template.Labels["app.kubernetes.io/name"]
		if hasBus {
			wanted = append(wanted, Flow{name, bus, "client"})
		}
		if _, stores := p.Settings[p.Variable("DATABASE_URL")]; !stores {
			continue
		}
		for _, o := range s.Of("Cluster") {
			if own(o.Name(), p.Name) {
				wanted = append(wanted, Flow{name, o.Name(), "postgresql"})
			}
		}
	}
	return wanted
}

// own tells whether a database cluster is that of a part, or of all: its name begins with the part's, or with no part's.
func own(cluster, part string) bool {
	first, _, _ := strings.Cut(cluster, "-")
	return first == part || !slices.Contains(program.Parts, first)
}
