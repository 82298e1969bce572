package boot_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/serve/servetest"
	"github.com/concord-suite/concord/platform/sqldb"
)

// things is the descriptor of a service with two RPCs, Ping and Look, for operators, services and people who are not signed
// in. Look is audited.
var things = sync.OnceValue(func() *servetest.Things {
	t, err := servetest.New(func(f *descriptorpb.FileDescriptorProto) {
		ping := f.GetService()[0].GetMethod()[0]
		look := proto.Clone(ping).(*descriptorpb.MethodDescriptorProto)
		look.Name = proto.String("Look")
		f.Service[0].Method = []*descriptorpb.MethodDescriptorProto{ping, look}
		for method, audit := range map[*descriptorpb.MethodDescriptorProto]optionsv1.AuditKind{
			ping: optionsv1.AuditKind_AUDIT_KIND_NONE, look: optionsv1.AuditKind_AUDIT_KIND_VIEW,
		} {
			proto.SetExtension(method.GetOptions(), optionsv1.E_Rule, &optionsv1.Rule{
				Permission: "thing." + strings.ToLower(method.GetName()), Audit: audit, Services: []string{"callers"},
				Allow: []optionsv1.PrincipalKind{access.Anonymous, access.Operator, access.Service},
			})
		}
	})
	if err != nil {
		panic(err)
	}
	file, err := t.Files.FindFileByPath("concord/test/v1/things.proto")
	if err == nil {
		err = protoregistry.GlobalFiles.RegisterFile(file)
	}
	if err != nil {
		panic(err)
	}
	return t
})

// service is a service whose parts a test sets.
type service struct {
	run     func(ctx context.Context) error
	ready   func(ctx context.Context) error
	unary   func(ctx context.Context) error
	handler http.Handler
	without atomic.Pointer[string]
}

func (s *service) State() string {
	if without := s.without.Load(); without != nil {
		return *without
	}
	return ""
}

func (s *service) Run(ctx context.Context) error {
	if s.run != nil {
		return s.run(ctx)
	}
	<-ctx.Done()
	return nil
}

func (s *service) Ready(ctx context.Context) error {
	if s.ready != nil {
		return s.ready(ctx)
	}
	return nil
}

func (s *service) Register(r grpc.ServiceRegistrar) {
	copied := *things()
	copied.Unary = func(ctx context.Context, _ string, _ *dynamicpb.Message) (*dynamicpb.Message, error) {
		if s.unary != nil {
			if err := s.unary(ctx); err != nil {
				return nil, err
			}
		}
		return copied.Response("pong"), nil
	}
	copied.Register(r)
}

func (s *service) Handler() http.Handler { return s.handler }

// ping calls the test service.
func ping(ctx context.Context, conn grpc.ClientConnInterface) error { return call(ctx, conn, "Ping") }

func call(ctx context.Context, conn grpc.ClientConnInterface, method string) error {
	answer := things().Response("")
	if err := conn.Invoke(ctx, "/"+servetest.Service+"/"+method, things().Request(nil), answer); err != nil {
		return err
	}
	if text := servetest.Text(answer); text != "pong" {
		return errors.New("answered " + text)
	}
	return nil
}

var migrations = sqldb.Join(events.Schema, fstest.MapFS{
	"sqlite/0001_things.sql":   {Data: []byte(`CREATE TABLE things (id TEXT PRIMARY KEY) STRICT;`)},
	"postgres/0001_things.sql": {Data: []byte(`CREATE TABLE things (id TEXT PRIMARY KEY);`)},
})

// machine is a place for programs to run: their key files, and a bus.
type machine struct {
	dir string
	bus *eventstest.Server
}

func newMachine(t *testing.T, services ...string) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir(), bus: eventstest.Start(t)}
	trust := access.NewTrust()
	for _, name := range services {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		trust.Add(name, public)
		pem, err := access.FormatKey(private)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(m.path(name+".pem"), pem, 0o600))
	}
	data, err := json.Marshal(trust)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(m.path("trust.json"), data, 0o600))
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// environ returns the settings of a program on this machine; more come after and win.
func (m *machine) environ(name string, more ...string) []string {
	prefix := "CONCORD_" + strings.ToUpper(name) + "_"
	all := []string{
		"NATS_URL=" + m.bus.URL(), "IDENTITY_KEY_FILE=" + m.path(name+".pem"), "TRUST_FILE=" + m.path("trust.json"), "INSECURE=true",
		"GRPC_ADDR=127.0.0.1:0", "HEALTH_ADDR=127.0.0.1:0", "DATABASE_URL=sqlite:" + m.path(name+".db"), "GRACE=5s",
	}
	for i, pair := range append(all, more...) {
		if i < len(all) {
			all[i] = prefix + pair
		} else {
			all = append(all, prefix+pair)
		}
	}
	return all
}

// running is a program that was started.
type running struct {
	stop   context.CancelFunc
	code   chan int
	stderr *safeBuffer
	rt     *boot.Runtime
	built  chan *boot.Runtime
}

// start runs a program until the test ends, and waits until it serves.
func start(t *testing.T, name string, environ []string, svc *service, options ...boot.Option) *running {
	t.Helper()
	r := launch(name, environ, svc, options...)
	t.Cleanup(r.stop)
	select {
	case r.rt = <-r.built:
	case code := <-r.code:
		t.Fatalf("ended with %d: %s", code, r.stderr)
	}
	eventstest.Until(t, "the program serves", func() bool { return strings.Contains(r.stderr.String(), `"msg":"started"`) })
	return r
}

// launch runs a program and does not wait for it.
func launch(name string, environ []string, svc *service, options ...boot.Option) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stop: cancel, code: make(chan int, 1), stderr: &safeBuffer{}, built: make(chan *boot.Runtime, 1)}
	things()
	go func() {
		r.code <- boot.Run(ctx, boot.Process{Environ: environ, Stdout: &safeBuffer{}, Stderr: r.stderr}, name,
			func(_ context.Context, rt *boot.Runtime, _ struct{}) (boot.Service, error) {
				r.built <- rt
				return svc, nil
			}, options...)
	}()
	return r
}

// ask returns status and body of an address for health, /readyz unless another path is given; "" when nobody answers.
func (r *running) ask(health string, path ...string) string {
	answer, err := http.Get("http://" + health + strings.Join(append(path, "/readyz")[:1], ""))
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	if len(path) > 0 {
		body = bytes.TrimSpace(body)
	}
	return fmt.Sprint(answer.StatusCode, " ", string(body))
}

// freeAddress returns an address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	return lis.Addr().String()
}

// awaitReady waits until a running program answers readiness with the status, and returns the body.
func (r *running) awaitReady(t *testing.T, status int) (body string) {
	t.Helper()
	url := "http://" + r.address(t, "health") + "/readyz"
	eventstest.Until(t, fmt.Sprint("readiness is ", status), func() bool {
		var got int
		got, body = get(t, url)
		return got == status
	})
	return body
}

// address returns where a running program answers "grpc", "http" or "health".
func (r *running) address(t *testing.T, what string) string {
	t.Helper()
	for line := range strings.Lines(r.stderr.String()) {
		var said map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &said))
		if address, ok := said[what].(string); ok && said["msg"] == "started" {
			return address
		}
	}
	t.Fatalf("no address of %s in %s", what, r.stderr)
	return ""
}

// end stops the program and returns its exit code.
func (r *running) end() int {
	r.stop()
	return <-r.code
}

// safeBuffer is a buffer that a program writes while a test reads.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// once runs a program that ends by itself.
func once(environ []string, build func(*boot.Runtime) error, options []boot.Option, args ...string) (code int, stdout, stderr string) {
	var out, errs safeBuffer
	ctx, cancel := context.WithTimeout(context.Background(), eventstest.Wait)
	defer cancel()
	code = boot.Run(ctx, boot.Process{Args: args, Environ: environ, Stdout: &out, Stderr: &errs}, "things",
		func(_ context.Context, rt *boot.Runtime, _ struct{}) (boot.Service, error) { return nil, build(rt) }, options...)
	return code, out.String(), errs.String()
}

var errBuilt = errors.New("got as far as building the service")

func builds(*boot.Runtime) error { return errBuilt }

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	answer, err := http.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, strings.TrimSpace(b.String())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// takenAddress returns an address that somebody listens on.
func takenAddress(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { lis.Close() })
	return lis.Addr().String()
}

// within fails the test when fn does not return in time.
func within(t *testing.T, d time.Duration, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatal("did not return in " + d.String())
	}
}
