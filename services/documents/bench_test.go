package documents_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
)

// sizes are a letter, a scanned return, and a bundle.
var sizes = []int{100 << 10, 10 << 20, 64 << 20}

// vary makes content that no earlier round had, cheaply.
func vary(content []byte, round int) {
	copy(content, fmt.Sprintf("%020d", round))
}

// BenchmarkPut compares an upload, from the ticket to the answer, with the least that durability costs: the bytes written,
// hashed, synced, given their name and the name synced. The answer comes after a database commit besides.
func BenchmarkPut(b *testing.B) {
	for _, size := range sizes {
		content := make([]byte, size)
		_, _ = rand.Read(content)
		b.Run(fmt.Sprintf("bare/size=%d", size), func(b *testing.B) {
			dir := b.TempDir()
			b.SetBytes(int64(size))
			round := 0
			for b.Loop() {
				round++
				vary(content, round)
				if err := bare(dir, bytes.NewReader(content)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("documents/size=%d", size), func(b *testing.B) {
			s := onSQLite(b, options{})
			folder := s.business("Bench")
			b.SetBytes(int64(size))
			round := 0
			for b.Loop() {
				b.StopTimer()
				round++
				vary(content, round)
				in, err := s.documents.InitiateUpload(s.staff(), &documentsv1.InitiateUploadRequest{Parent: firmA, Folder: folder,
					DisplayName: "x", Size: int64(size)})
				require.NoError(b, err)
				b.StartTimer()
				if status, _, p := s.put(in.GetUploadPath(), content); status != http.StatusOK {
					b.Fatal(p)
				}
			}
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

func serveFiles(b *testing.B, dir string) string {
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	b.Cleanup(server.Close)
	return server.URL
}

// BenchmarkGet compares a download with the same file from Go's own file server on the same kind of listener.
func BenchmarkGet(b *testing.B) {
	for _, size := range sizes {
		content := make([]byte, size)
		_, _ = rand.Read(content)
		dir := b.TempDir()
		require.NoError(b, os.WriteFile(filepath.Join(dir, "file"), content, 0o600))
		files := serveFiles(b, dir)
		fetch := func(b *testing.B, url string) {
			b.SetBytes(int64(size))
			for b.Loop() {
				resp, err := http.Get(url)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil || n != int64(size) {
					b.Fatal(n, err)
				}
			}
		}
		b.Run(fmt.Sprintf("fileserver/size=%d", size), func(b *testing.B) { fetch(b, files+"/file") })
		b.Run(fmt.Sprintf("documents/size=%d", size), func(b *testing.B) {
			s := onSQLite(b, options{})
			d := s.upload(s.staff(), s.business("Bench"), "x", content)
			out, err := s.documents.InitiateDownload(s.staff(), &documentsv1.InitiateDownloadRequest{Name: d.GetName()})
			require.NoError(b, err)
			fetch(b, s.bytes+out.GetDownloadPath())
		})
	}
}
