// Package buckettest gives tests a real S3 server, and what can happen on the way to one.
package buckettest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/concord-suite/concord/services/documents/internal/blob/bucket"
)

// Bucket is the bucket that every server has.
const Bucket = "documents"

// Server is an S3 server in a process of its own (tools/objects), behind a front of the test's through which all requests go.
type Server struct {
	// URL is where the front answers, Authority the file of its certificate's authority when it speaks TLS.
	URL, Authority string
	// Folder has a folder for each bucket, and in it a file for each object.
	Folder string

	t       testing.TB
	program string
	socket  string
	stdin   io.Closer
	process *exec.Cmd
	kill    func()
	front   *httptest.Server
	forward *httputil.ReverseProxy
	rule    atomic.Pointer[Rule]
}

// Rule may answer a request in the place of the server; then it returns true. forward is the server.
type Rule func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool

// Start starts a server with one empty bucket.
func Start(t testing.TB) *Server { return start(t, (*httptest.Server).Start) }

// StartTLS starts a server that speaks TLS, with a certificate of an authority that nobody knows.
func StartTLS(t testing.TB) *Server { return start(t, (*httptest.Server).StartTLS) }

func start(t testing.TB, open func(*httptest.Server)) *Server {
	t.Helper()
	root, err := os.MkdirTemp("", "objects") // t.TempDir has long names, and a socket's may have 107 bytes
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	s := &Server{t: t, Folder: filepath.Join(root, "data"), program: build(t), socket: filepath.Join(root, "s3")}
	require.NoError(t, os.MkdirAll(s.Folder, 0o700))
	s.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "s3"
			r.Out.Host = r.In.Host // it is signed
		},
		Transport: &http.Transport{DisableCompression: true, DialContext: s.dial},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // a server that is not there answers nothing
		},
		FlushInterval: -1,
	}
	s.front = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.front.Config.ErrorLog = nil
	open(s.front)
	t.Cleanup(s.front.Close)
	s.URL = s.front.URL
	if c := s.front.Certificate(); c != nil {
		s.Authority = filepath.Join(root, "ca.crt")
		require.NoError(t, os.WriteFile(s.Authority, pemOf(c.Raw), 0o600))
	}
	s.Run()
	_, err = s.Client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(Bucket)})
	require.NoError(t, err)
	return s
}

// Options are those of a store in the bucket.
func (s *Server) Options() bucket.Options {
	endpoint, err := url.Parse(s.URL)
	require.NoError(s.t, err)
	return bucket.Options{Bucket: Bucket, Region: "test", Endpoint: endpoint, PathStyle: true, AccessKeyID: "test",
		SecretAccessKey: "test-secret", Authorities: s.Authority, Silence: time.Minute, Pause: 10 * time.Millisecond, SpoolDir: s.t.TempDir(), Spool: 256 << 20}
}

// Open opens a store in the bucket, with other options than the usual.
func (s *Server) Open(change ...func(*bucket.Options)) *bucket.Store {
	s.t.Helper()
	o := s.Options()
	for _, c := range change {
		c(&o)
	}
	store, err := bucket.Open(s.t.Context(), o)
	require.NoError(s.t, err)
	return store
}

// Client speaks to the server past the front.
func (s *Server) Client() *s3.Client {
	return s3.New(s3.Options{Region: "test", UsePathStyle: true, BaseEndpoint: aws.String("http://s3"),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test-secret", ""), HTTPClient: &http.Client{Transport: s.forward.Transport}})
}

// Files are the names of all objects.
func (s *Server) Files() []string {
	s.t.Helper()
	var names []string
	root := filepath.Join(s.Folder, Bucket)
	require.NoError(s.t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() && d.Name() == ".sgwtmp" {
			return filepath.SkipDir // what the server itself has not finished
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(root, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	}))
	return names
}

// Set makes every request go through the rule; nil lets them all pass.
func (s *Server) Set(rule Rule) {
	if rule == nil {
		s.rule.Store(nil)
		return
	}
	s.rule.Store(&rule)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if rule := s.rule.Load(); rule != nil && (*rule)(w, r, s.forward) {
		return
	}
	s.forward.ServeHTTP(w, r)
}

// Run starts the server's process, which must not run. Arguments are those of tools/objects.
func (s *Server) Run(args ...string) {
	s.t.Helper()
	_ = os.Remove(s.socket)
	s.process = exec.Command(s.program, append(args, "-listen", s.socket, s.Folder)...)
	stdin, err := s.process.StdinPipe()
	require.NoError(s.t, err)
	s.stdin = stdin
	said := &bytes.Buffer{}
	s.process.Stdout, s.process.Stderr = said, said
	require.NoError(s.t, s.process.Start())
	process, ended := s.process, make(chan struct{})
	go func() {
		_ = process.Wait()
		close(ended)
	}()
	s.kill = func() {
		_ = process.Process.Kill()
		<-ended
	}
	s.t.Cleanup(s.kill)
	require.Eventually(s.t, func() bool {
		select {
		case <-ended:
			s.t.Errorf("the S3 server ended: %s", said)
			return true
		default:
		}
		c, err := net.Dial("unix", s.socket)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, time.Minute, 5*time.Millisecond, "the S3 server did not start")
}

// Kill ends the server's process as a power cut would.
func (s *Server) Kill() { s.kill() }

// Freeze stops the process: connections stay open and nobody answers. Thaw lets it go on.
func (s *Server) Freeze() { require.NoError(s.t, s.process.Process.Signal(syscall.SIGSTOP)) }

// Thaw ends Freeze.
func (s *Server) Thaw() { require.NoError(s.t, s.process.Process.Signal(syscall.SIGCONT)) }

// build makes the program, once for all tests that run at the same time; go build sees by itself when there is nothing to do.
func build(t testing.TB) string {
	t.Helper()
	_ = os.Getenv("SOURCES_DIGEST") // the program lies outside this module (Makefile)
	root, err := filepath.Abs(".")
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(root, "tools", "objects", "go.mod")); err == nil {
			break
		}
		require.NotEqual(t, filepath.Dir(root), root, "tools/objects is not above the test")
		root = filepath.Dir(root)
	}
	bin := filepath.Join(root, ".cache", "bin")
	require.NoError(t, os.MkdirAll(bin, 0o755))
	lock, err := os.OpenFile(filepath.Join(bin, ".objects"), os.O_CREATE|os.O_RDWR, 0o644)
	require.NoError(t, err)
	defer lock.Close()
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	require.NoError(t, err)
	program := filepath.Join(bin, "objects")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, ".")
	cmd.Dir = filepath.Join(root, "tools", "objects")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}
