package topology

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs are what a suite is made of: the folder of each program's module, and its package there. The broker and
// grpcurl are built from their modules too, so that every machine tests with the same ones.
var programs = map[string][2]string{
	"concord":           {"allinone", "./cmd/concord"},
	"concord-auth":      {"services/auth", "./cmd/auth"},
	"concord-connector": {"services/connector", "./cmd/connector"},
	"concord-sync":      {"services/sync", "./cmd/sync"},
	"concord-documents": {"services/documents", "./cmd/documents"},
	"concord-gateway":   {"gateway", "./cmd/gateway"},
	"concord-sim":       {"sim", "./cmd/sim"},
	"nats-server":       {"test", "github.com/nats-io/nats-server/v2"},
	"grpcurl":           {"test", "github.com/fullstorydev/grpcurl/cmd/grpcurl"},
}

// binaries builds each program once per test binary.
var binaries = struct {
	sync.Mutex
	dir  string
	done map[string]error
}{done: map[string]error{}}

// Main runs the tests of a package and removes what was built for them.
func Main(m *testing.M) int {
	code := m.Run()
	if binaries.dir != "" {
		_ = os.RemoveAll(binaries.dir)
	}
	return code
}

// Binary builds a program and answers its path.
func Binary(t testing.TB, name string) string {
	t.Helper()
	binaries.Lock()
	defer binaries.Unlock()
	if binaries.dir == "" {
		dir, err := os.MkdirTemp("", "concord-bin")
		if err != nil {
			t.Fatal(err)
		}
		binaries.dir = dir
	}
	path := filepath.Join(binaries.dir, name)
	err, built := binaries.done[name]
	if !built {
		err = build(name, path)
		binaries.done[name] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build(name, path string) error {
	_ = os.Getenv("SOURCES_DIGEST") // programs of every module (Makefile)
	p, ok := programs[name]
	if !ok {
		return fmt.Errorf("no program %q", name)
	}
	root, err := root()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", path, p[1])
	cmd.Dir = filepath.Join(root, p[0])
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return nil
}

// root is the folder of go.work, above the test's own.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.work above the tests")
		}
		dir = up
	}
}
