package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// lookEvery is how often the files are read. A kubelet takes a minute to bring a renewed certificate, so ten seconds are soon.
const lookEvery = 10 * time.Second

// follow has the server read its configuration again when one of the files has other contents, until ctx ends. The server itself
// does so on SIGHUP only, and nobody in a pod would send one when a certificate is renewed. What cannot be used is told by
// the server's log, is not taken, and is tried again when it changes.
func follow(ctx context.Context, s *server.Server, every <-chan time.Time, files ...string) {
	seen := fingerprint(files)
	for {
		select {
		case <-ctx.Done():
			return
		case <-every:
		}
		now := fingerprint(files)
		if bytes.Equal(seen, now) {
			continue
		}
		seen = now
		if err := s.Reload(); err != nil {
			s.Errorf("Failed to reload server configuration: %s", err)
		}
	}
}

// fingerprint is the same as long as the files have the same contents; one that can't be read counts as empty.
func fingerprint(files []string) []byte {
	sum := sha256.New()
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		_, _ = io.Copy(sum, f) // what was read so far is compared
		_ = f.Close()
		sum.Write([]byte{0})
	}
	return sum.Sum(nil)
}
