package topology

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

// services are those that answer gRPC, in the order in which they are started.
var services = []string{"auth", "connector", "documents", "sync"}

// keyrings are the services that seal secrets.
var keyrings = []string{"auth", "connector", "documents"}

// calls are who calls whom.
var calls = map[string][]string{
	"auth":      {"sync"},
	"connector": {"auth"},
	"documents": {"auth", "sync"},
	"sync":      {"auth", "connector", "documents"},
	"gateway":   {"auth", "connector", "sync", "documents", "documents-http"},
}

// manyProcesses starts a process per service on PostgreSQL and a NATS server.
func (s *Suite) manyProcesses(t testing.TB, world []string, o Options) {
	t.Helper()
	identities(t, s.Dir, append(append([]string(nil), services...), "gateway"))
	s.Postgres = sqldbtest.Postgres(t)
	nats := s.startNATS(t)
	addr, health := map[string]string{}, map[string]string{}
	for _, name := range append(append([]string(nil), services...), "gateway", "documents-http") {
		addr[name], health[name] = freeAddr(t), freeAddr(t)
	}
	s.URL = "http://" + addr["gateway"]
	env := append(append(world, o.Env...), s.common(nats, addr)...)
	for _, name := range append(append([]string(nil), services...), "gateway") {
		settings := append(mine(env, name), s.own(t, name, addr, health[name])...)
		if slices.Contains(keyrings, name) {
			s.createKeyring(t, name, settings)
		}
		p := newProcess(t, name, Binary(t, "concord-"+name), nil, settings, "http://"+health[name]+"/readyz")
		s.Processes[name] = p
		s.order = append(s.order, name)
	}
	// All at once: no service may need another one to start.
	for _, name := range s.order {
		s.Processes[name].Launch(t)
	}
	for _, name := range s.order {
		s.Processes[name].AwaitReady(t)
	}
	s.readSetupCode(t, s.Processes["auth"])
}

// startNATS starts a NATS server whose acknowledgements mean what they say.
func (s *Suite) startNATS(t testing.TB) string {
	t.Helper()
	listen, monitor := freeAddr(t), freeAddr(t)
	conf := filepath.Join(s.Dir, "nats.conf")
	write(t, conf, fmt.Appendf(nil, "listen: %q\nhttp: %q\njetstream { store_dir: %q, sync_interval: always }\n",
		listen, monitor, filepath.Join(s.Dir, "nats")))
	p := newProcess(t, "nats", Binary(t, "nats-server"), []string{"-c", conf}, nil, "http://"+monitor+"/healthz")
	p.Start(t)
	s.Processes["nats"] = p
	return "nats://" + listen
}

// common are the settings of every service, for each under its own prefix.
func (s *Suite) common(nats string, addr map[string]string) []string {
	var env []string
	for _, name := range append(append([]string(nil), services...), "gateway") {
		prefix := "CONCORD_" + strings.ToUpper(name) + "_"
		var peers []string
		for _, peer := range calls[name] {
			peers = append(peers, peer+"="+addr[peer])
		}
		env = append(env,
			prefix+"NATS_URL="+nats,
			prefix+"IDENTITY_KEY_FILE="+filepath.Join(s.Dir, name+".key"),
			prefix+"TRUST_FILE="+filepath.Join(s.Dir, "trust.json"),
			prefix+"INSECURE=true",
			prefix+"PEERS="+strings.Join(peers, ","),
			prefix+"GRACE=5s",
		)
	}
	return append(env,
		"CONCORD_AUTH_PUBLIC_URL="+s.URL, "CONCORD_GATEWAY_PUBLIC_URL="+s.URL, "CONCORD_DOCUMENTS_PUBLIC_URL="+s.URL,
		"CONCORD_CONNECTOR_XERO_REDIRECT_URL="+s.URL+"/oauth/callback",
		"CONCORD_DOCUMENTS_BLOB_DIR="+filepath.Join(s.Dir, "blobs"),
	)
}

// own are the settings of one service.
func (s *Suite) own(t testing.TB, name string, addr map[string]string, health string) []string {
	t.Helper()
	prefix := "CONCORD_" + strings.ToUpper(name) + "_"
	env := []string{prefix + "HEALTH_ADDR=" + health}
	switch name {
	case "gateway":
		return append(env, prefix+"HTTP_ADDR="+addr[name])
	case "documents":
		env = append(env, prefix+"HTTP_ADDR="+addr["documents-http"])
		if err := os.MkdirAll(filepath.Join(s.Dir, "blobs"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.GRPC[name] = addr[name]
	env = append(env, prefix+"GRPC_ADDR="+addr[name], prefix+"DATABASE_URL="+s.Postgres.URL(t))
	if slices.Contains(keyrings, name) {
		env = append(env, prefix+"KEYRING_FILE="+filepath.Join(s.Dir, name+".keyring"))
	}
	return env
}

// createKeyring does what an operator does once, before a service's first start.
func (s *Suite) createKeyring(t testing.TB, name string, settings []string) {
	t.Helper()
	cmd := exec.Command(Binary(t, "concord-"+name), "keys", "create")
	cmd.Env = append(os.Environ(), settings...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s keys create: %v\n%s", name, err, out)
	}
}

// mine leaves out what is another service's: each program refuses settings of its own prefix that it does not know, and
// must not depend on those of others.
func mine(env []string, name string) []string {
	var out []string
	for _, pair := range env {
		if strings.HasPrefix(pair, "CONCORD_"+strings.ToUpper(name)+"_") {
			out = append(out, pair)
		}
	}
	return out
}
