package documents_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/events/eventstest"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
)

// sizes are a letter, a scanned return, and a bundle.
var sizes = []int{100 << 10, 10 << 20, 64 << 20}

// vary makes content that no earlier round had, cheaply.
func vary(content []byte, round int) {
	copy(content, fmt.Sprintf("%020d", round))
}

// against measures two ways of doing the same, turn by turn, so that both meet the same neighbours, and reports the median
// of each and how fast ours is compared with the other. What prepare does is not counted.
func against(b *testing.B, size int, name string, prepare, other, ours func(round int)) {
	b.SetBytes(int64(size))
	var times [2][]time.Duration
	for round := 1; b.Loop(); round++ {
		prepare(round)
		for i, do := range []func(int){other, ours} {
			begun := time.Now()
			do(round)
			times[i] = append(times[i], time.Since(begun))
		}
	}
	var medians [2]time.Duration
	for i := range times {
		slices.Sort(times[i])
		medians[i] = times[i][len(times[i])/2]
	}
	b.ReportMetric(float64(medians[0].Microseconds()), name+"-us")
	b.ReportMetric(float64(medians[1].Microseconds()), "documents-us")
	b.ReportMetric(float64(medians[0])/float64(medians[1]), "ratio")
}

// BenchmarkPut compares an upload, from the ticket to the answer, with the least that durability costs: the bytes written,
// hashed, synced, given their name and the name synced. The answer comes after a database commit besides.
func BenchmarkPut(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			content, dir := make([]byte, size), b.TempDir()
			_, _ = rand.Read(content)
			s := onSQLite(b, options{})
			folder := s.business("Bench")
			var path string
			against(b, size, "bare", func(round int) {
				vary(content, round)
				in, err := s.documents.InitiateUpload(s.staff(), &documentsv1.InitiateUploadRequest{Parent: firmA, Folder: folder,
					DisplayName: "x", Size: proto.Int64(int64(size))})
				require.NoError(b, err)
				path = in.GetUploadPath()
			}, func(int) {
				require.NoError(b, bare(dir, bytes.NewReader(content)))
			}, func(int) {
				if status, _, p := s.put(path, content); status != http.StatusOK {
					b.Fatal(p)
				}
			})
		})
	}
}

// bare stores a stream under its hash.
func bare(dir string, content io.Reader) error {
	f, err := os.CreateTemp(dir, "put")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	hash := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, hash)}, struct{ io.Reader }{content}, make([]byte, 256<<10)); err != nil {
		return err
	}
	if err := syscall.Fdatasync(int(f.Fd())); err != nil {
		return err
	}
	if err := os.Link(f.Name(), filepath.Join(dir, hex.EncodeToString(hash.Sum(nil)))); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// serveFiles starts Go's own file server on a folder.
func serveFiles(b *testing.B, dir string) string {
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	b.Cleanup(server.Close)
	return server.URL
}

// nginxConfig has nginx send files as fast as it can, in one process that is the caller's child.
const nginxConfig = `daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log error.log;
events { worker_connections 64; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; default_type application/octet-stream;
	client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
	server { listen %s; root %s; }
}
`

// serveNginx starts nginx on a folder, or answers "" when there is none.
func serveNginx(b *testing.B, dir string) string {
	path, err := exec.LookPath("nginx")
	if err != nil {
		return ""
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	addr := lis.Addr().String()
	require.NoError(b, lis.Close())
	home := b.TempDir()
	config := filepath.Join(home, "nginx.conf")
	require.NoError(b, os.WriteFile(config, fmt.Appendf(nil, nginxConfig, addr, dir), 0o600))
	cmd := exec.Command(path, "-p", home, "-e", filepath.Join(home, "error.log"), "-c", config)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventstest.Until(b, "nginx answers", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return "http://" + addr
}

// BenchmarkGet compares a download with the same file from nginx, and from Go's own file server, on the same kind of
// listener, fetched by the same client.
func BenchmarkGet(b *testing.B) {
	for _, size := range sizes {
		content, dir := make([]byte, size), b.TempDir()
		_, _ = rand.Read(content)
		require.NoError(b, os.WriteFile(filepath.Join(dir, "file"), content, 0o600))
		for name, start := range map[string]func(*testing.B, string) string{"nginx": serveNginx, "fileserver": serveFiles} {
			b.Run(fmt.Sprintf("%s/size=%d", name, size), func(b *testing.B) {
				url := start(b, dir)
				if url == "" {
					b.Skip("there is no " + name + " here to compare with")
				}
				s := onSQLite(b, options{})
				d := s.upload(s.staff(), s.business("Bench"), "x", content)
				out, err := s.documents.InitiateDownload(s.staff(), &documentsv1.InitiateDownloadRequest{Name: d.GetName()})
				require.NoError(b, err)
				against(b, size, name, func(int) {}, func(int) { fetch(b, url+"/file", size) },
					func(int) { fetch(b, s.bytes+out.GetDownloadPath(), size) })
			})
		}
	}
}

// fetch reads a document to its end.
func fetch(b *testing.B, url string, size int) {
	resp, err := http.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err != nil || n != int64(size) || resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status, n, err)
	}
}
