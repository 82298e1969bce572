// Package topology starts a whole suite for a test, in one of two shapes, with the simulated world beside it: the same
// test body must pass on both.
package topology

import (
	"regexp"
	"testing"

	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/test/story"
)

// Kind is the shape of a suite.
type Kind int

// The shapes.
const (
	// OneProcess is bin/concord: everything in one process, SQLite, embedded broker.
	OneProcess Kind = iota
	// ManyProcesses is a process per service, PostgreSQL and a NATS server.
	ManyProcesses
)

// String names the shape as tests do.
func (k Kind) String() string { return [...]string{"one-process", "many-processes"}[k] }

// Options is what a test wants different.
type Options struct {
	// Clients is the size of the simulated practice; default 300.
	Clients int
	// Practice is a CSV or folder instead of a generated practice.
	Practice string
	// Env are more settings, "KEY=value", for every process.
	Env []string
	// Host is the name people reach a suite in one process by, for what is bound to a name: cookies, passkeys. Its
	// address stays that of URL; Public is what they type.
	Host string
}

// Suite is a running suite.
type Suite struct {
	story.Stage
	// Kind is its shape.
	Kind Kind
	// GRPC is where each service answers gRPC.
	GRPC map[string]string
	// Processes are all of its programs by name, the simulated world's not among them.
	Processes map[string]*Process
	// Postgres is its database server; nil in one process.
	Postgres *sqldbtest.Cluster
	// Sim is the simulated world's program.
	Sim *Process
	// Public is what people type to reach it, when Options.Host says so.
	Public string
	// Dir keeps everything it writes.
	Dir string

	order []string
}

const defaultClients = 300

// Start starts a suite and waits until it is ready. It ends with the test.
func Start(t testing.TB, kind Kind, o Options) *Suite {
	t.Helper()
	if o.Clients == 0 {
		o.Clients = defaultClients
	}
	s := &Suite{Kind: kind, GRPC: map[string]string{}, Processes: map[string]*Process{}, Dir: t.TempDir()}
	world := s.startWorld(t, o)
	if kind == OneProcess {
		s.oneProcess(t, world, o)
	} else {
		s.manyProcesses(t, world, o)
	}
	return s
}

var setupCode = regexp.MustCompile(`setup code +(\S+)`)

// readSetupCode takes the code from where an operator reads it: the console of the process that printed it.
func (s *Suite) readSetupCode(t testing.TB, p *Process) {
	t.Helper()
	story.Eventually(t, "the setup code is printed", func() bool {
		m := setupCode.FindStringSubmatch(p.Log())
		if m != nil {
			s.SetupCode = m[1]
		}
		return m != nil
	})
}

// startWorld starts the simulated world and answers the settings that point every service at it.
func (s *Suite) startWorld(t testing.TB, o Options) []string {
	t.Helper()
	http, smtp := freeAddr(t), freeAddr(t)
	args := []string{"-dir", s.Dir + "/world", "-http-addr", http, "-smtp-addr", smtp, "-clients", itoa(o.Clients), "-clock-factor", itoa(clockFactor)}
	if o.Practice != "" {
		args = append(args, "-practice", o.Practice)
	}
	s.Sim = newProcess(t, "sim", Binary(t, "concord-sim"), args, nil, "http://"+http+"/healthz")
	s.Sim.Start(t)
	s.World = remote.New("http://" + http)
	return upstream(http, smtp)
}
