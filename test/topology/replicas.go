package topology

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-suite/concord/platform/mtls/mtlstest"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/test/story"
)

// The ports of every replica, each on its own loopback address: those that pods have.
const (
	grpcPort   = 9090
	bytesPort  = 8081
	httpPort   = 8080
	healthPort = 8086
)

// publicURL is what people type; connections to it go to a ready gateway.
const publicURL = "http://localhost:8080"

// The last numbers of addresses: part i's replica k has 10*(i+1)+k at first, and replicasOf more each time it begins again.
const (
	namesHost = 2
	natsHost  = 4
)

// Parts are what a platform team deploys, in the order of a rolling update.
var Parts = []string{"auth", "connector", "sync", "documents", "gateway"}

// replicasOf is how many processes there are of each part.
const replicasOf = 2

// Replica is one process of a part.
type Replica struct {
	*Process
	// Part is what it is one of.
	Part string
	// IP is its own address, until it begins again.
	IP netip.Addr

	leaving  atomic.Bool
	settings func(netip.Addr) []string
}

// at answers where the replica is, and where it says whether it is ready.
func (r *Replica) at() (ip netip.Addr, ready string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.IP, r.ready
}

// move gives the replica an address, as the pod in the place of one that ended has another: who still knows the old one finds
// nobody there.
func (r *Replica) move(ip netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.IP, r.ready = ip, fmt.Sprintf("http://%s:%d/readyz", ip, healthPort)
	r.env = append(os.Environ(), r.settings(ip)...)
}

// next is an address that the replica never had.
func (r *Replica) next(t testing.TB) netip.Addr {
	t.Helper()
	b := r.IP.As4()
	if b[3]%10+replicasOf > 9 {
		t.Fatalf("%s began so often that it has had all its addresses", r.Name)
	}
	b[3] += replicasOf
	return netip.AddrFrom4(b)
}

// Terminate does what a cluster does to a pod: it leaves the endpoints and gets SIGTERM. It waits for its end.
func (r *Replica) Terminate(t testing.TB) {
	t.Helper()
	r.leaving.Store(true)
	r.Stop(t)
}

// Begin starts the replica again, at another address, and waits until it is ready.
func (r *Replica) Begin(t testing.TB) {
	t.Helper()
	r.move(r.next(t))
	r.leaving.Store(false)
	r.Start(t)
}

// Replicas is a suite as a platform runs it: two processes of every part on PostgreSQL, a database for each, and three
// NATS servers; certificates on both ends of every connection, and names that are answered with what is ready.
type Replicas struct {
	*Suite
	// Of are the replicas of each part.
	Of map[string][]*Replica
	// Brokers are the NATS servers.
	Brokers []*Process
	// Databases is the URL of each service's database.
	Databases map[string]string
	// Certificates are the mounted secrets of each part: tls.crt, tls.key and ca.crt.
	Certificates map[string]*mtlstest.Volume
	// Authority signs them.
	Authority *mtlstest.Authority

	network   netip.Addr // the first address
	endpoints *endpoints
	names     string // where names are answered
}

// StartReplicas starts such a suite and waits until it is ready. It ends with the test.
func StartReplicas(t testing.TB, o Options) *Replicas {
	t.Helper()
	r := &Replicas{
		Suite:     &Suite{Kind: ManyProcesses, GRPC: map[string]string{}, Processes: map[string]*Process{}, Dir: t.TempDir()},
		Of:        map[string][]*Replica{},
		Databases: map[string]string{}, Certificates: map[string]*mtlstest.Volume{}, Authority: mtlstest.NewAuthority(t),
		network: freeNetwork(t),
	}
	r.endpoints = &endpoints{replicas: r.Of}
	if o.Clients == 0 {
		o.Clients = defaultClients
	}
	world := r.startWorld(t, o)
	r.Postgres = sqldbtest.Postgres(t)
	identities(t, r.Dir, Parts)
	r.names = r.endpoints.serveNames(t, r.address(namesHost))
	r.URL = publicURL
	r.Transport = &http.Transport{DialContext: r.DialGateway}
	for _, part := range Parts {
		r.prepare(t, part)
	}
	r.startBrokers(t)
	for _, part := range Parts {
		r.place(t, part, append(world, o.Env...))
	}
	r.endpoints.follow(t)
	// All at once: no part may need another one to start.
	for _, name := range r.order {
		r.Processes[name].Launch(t)
	}
	for _, name := range r.order {
		r.Processes[name].AwaitReady(t)
	}
	for _, part := range Parts {
		r.AwaitEndpoints(t, part)
	}
	r.awaitSetupCode(t)
	return r
}

// prepare makes what a part finds when it starts: its certificate and its database.
func (r *Replicas) prepare(t testing.TB, part string) {
	t.Helper()
	r.Certificates[part] = mtlstest.NewVolume(t)
	r.Renew(part, r.Authority, r.Authority)
	if part != "gateway" {
		r.Databases[part] = r.createDatabase(t, part)
	}
	if part != "documents" {
		return
	}
	if err := os.MkdirAll(filepath.Join(r.Dir, "blobs"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// Renew gives a part a new certificate by an authority, and the authorities it believes.
func (r *Replicas) Renew(part string, by *mtlstest.Authority, believed ...*mtlstest.Authority) {
	var addresses []net.IP
	if part == nats {
		addresses = r.brokerIPs()
	}
	r.Certificates[part].Swap(by.Issue(part, mtlstest.At(addresses...)), believed...)
}

// createDatabase makes a database of its own: with one for all, services would share locks.
func (r *Replicas) createDatabase(t testing.TB, part string) string {
	t.Helper()
	at, err := url.Parse(r.Postgres.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	conn, err := pgx.Connect(ctx, at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+part); err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	query.Del("search_path")
	at.Path, at.RawQuery = "/"+part, query.Encode()
	return at.String()
}

// place prepares the replicas of a part.
func (r *Replicas) place(t testing.TB, part string, env []string) {
	t.Helper()
	for k := range replicasOf {
		settings := func(ip netip.Addr) []string { return append(r.settings(part, ip), mine(env, part)...) }
		ip := r.ip(part, k)
		if k == 0 && slices.Contains(keyrings, part) {
			r.createKeyring(t, part, settings(ip))
		}
		if k == 0 && part != "gateway" {
			r.migrate(t, part, append(os.Environ(), settings(ip)...))
		}
		name := fmt.Sprintf("%s-%d", part, k)
		replica := &Replica{Process: newProcess(t, name, Binary(t, "concord-"+part), nil, nil, ""), Part: part, settings: settings}
		replica.move(ip)
		r.Processes[name] = replica.Process
		r.order = append(r.order, name)
		r.Of[part] = append(r.Of[part], replica)
	}
}

// Migrate does what the job of a release does before any of its replicas starts, with the older ones still at work.
func (r *Replicas) Migrate(t testing.TB, part string) {
	t.Helper()
	if part != "gateway" { // which keeps nothing
		r.migrate(t, part, r.Of[part][0].Env())
	}
}

// migrate brings schema and streams to what the release needs.
func (r *Replicas) migrate(t testing.TB, part string, env []string) {
	t.Helper()
	cmd := exec.Command(Binary(t, "concord-"+part), "migrate")
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s migrate: %v\n%s", part, err, out)
	}
}

// settings are those of a replica, as a platform team writes them.
func (r *Replicas) settings(part string, ip netip.Addr) []string {
	var peers []string
	for _, peer := range calls[part] {
		port := grpcPort
		if strings.HasSuffix(peer, "-http") {
			port = bytesPort
		}
		peers = append(peers, fmt.Sprintf("%s=dns://%s/%s:%d", peer, r.names, strings.TrimSuffix(peer, "-http"), port))
	}
	certificate := r.Certificates[part].Files()
	at := func(port int) string { return netip.AddrPortFrom(ip, uint16(port)).String() }
	set := map[string]string{
		"NATS_URL": r.natsURL(), "NATS_REPLICAS": fmt.Sprint(natsServers), "NATS_OWN_CERTIFICATE": "true",
		"IDENTITY_KEY_FILE": filepath.Join(r.Dir, part+".key"), "TRUST_FILE": filepath.Join(r.Dir, "trust.json"),
		"TLS_CERT_FILE": certificate.Cert, "TLS_KEY_FILE": certificate.Key, "TLS_CA_FILE": certificate.CA,
		"PEERS": strings.Join(peers, ","), "HEALTH_ADDR": at(healthPort),
		// Longer than endpoints are late, and shorter than in a cluster only because they are less late here.
		"DRAIN_DELAY": "3s", "GRACE": "10s",
	}
	if part == "gateway" {
		set["HTTP_ADDR"] = at(httpPort)
	} else {
		set["GRPC_ADDR"], set["DATABASE_URL"], set["DATABASE_MAX_CONNS"] = at(grpcPort), r.Databases[part], "16"
		set["DATABASE_MIGRATE"] = "false" // a job did it, see migrate
	}
	if slices.Contains([]string{"auth", "documents", "gateway"}, part) {
		set["PUBLIC_URL"] = r.URL
	}
	if slices.Contains(keyrings, part) {
		set["KEYRING_FILE"] = filepath.Join(r.Dir, part+".keyring")
	}
	switch part {
	case "connector":
		set["XERO_REDIRECT_URL"] = r.URL + "/oauth/callback"
	case "documents":
		set["HTTP_ADDR"], set["BLOB_DIR"] = at(bytesPort), filepath.Join(r.Dir, "blobs")
	}
	var env []string
	for key, value := range set {
		env = append(env, "CONCORD_"+strings.ToUpper(part)+"_"+key+"="+value)
	}
	return env
}

// awaitSetupCode takes the code that the replica started last has printed; that of any other is as good.
func (r *Replicas) awaitSetupCode(t testing.TB) {
	t.Helper()
	all := r.Of["auth"]
	r.readSetupCode(t, all[len(all)-1].Process)
}

// DialGateway connects to one ready gateway after the other, as a ClusterIP does; the address asked for is only a name.
func (r *Replicas) DialGateway(ctx context.Context, network, _ string) (net.Conn, error) {
	ip, ok := r.endpoints.next("gateway")
	if !ok {
		return nil, fmt.Errorf("no gateway is ready")
	}
	return new(net.Dialer).DialContext(ctx, network, netip.AddrPortFrom(ip, httpPort).String())
}

// AwaitEndpoints waits until every replica of a part is to be found by its name.
func (r *Replicas) AwaitEndpoints(t testing.TB, part string) {
	t.Helper()
	story.Eventually(t, "all of "+part+" are to be found", func() bool { return len(r.endpoints.of(part)) == len(r.Of[part]) })
}

func (r *Replicas) ip(part string, replica int) netip.Addr {
	return r.address(10*(slices.Index(Parts, part)+1) + replica)
}

// address is an address of the suite's own network.
func (r *Replicas) address(host int) netip.Addr {
	b := r.network.As4()
	b[3] = byte(host)
	return netip.AddrFrom4(b)
}

// freeNetwork is a piece of the loopback network that nobody else uses: ports are the same for all, so addresses differ.
func freeNetwork(t testing.TB) netip.Addr {
	t.Helper()
	for range 100 {
		network := [4]byte{127, byte(64 + rand.IntN(128)), byte(rand.IntN(256)), 10}
		lis, err := net.Listen("tcp", netip.AddrPortFrom(netip.AddrFrom4(network), healthPort).String())
		if err != nil {
			continue
		}
		lis.Close()
		return netip.AddrFrom4(network)
	}
	t.Fatal("no free piece of the loopback network (127.64.0.0 to 127.191.255.0)")
	return netip.Addr{}
}

// Settle waits a while in which the parts are left alone, as a rolling update does between two pods.
func (r *Replicas) Settle(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-t.Context().Done():
	case <-time.After(d):
	}
}
