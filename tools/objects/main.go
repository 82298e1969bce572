// Command objects is an S3 server for tests: the gateway of versitygw before a folder, for one account.
//
// usage: objects [-read-only] [-domain NAME] -listen ADDRESS FOLDER
//
// The folder's folders are its buckets. The address is host:port, or the path of a socket; the secrets of the account are
// "test" and "test-secret", the region is "test". It ends when standard input does, so that it never outlives who started it.
//
// It stands in a module of its own, outside the workspace, so that what it needs enters neither the services nor the
// choice of their versions.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	listen := flag.String("listen", "", "where to answer")
	readOnly := flag.Bool("read-only", false, "refuse every change")
	domain := flag.String("domain", "", "answer to bucket.NAME, too")
	flag.Parse()
	if *listen == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: objects [-read-only] [-domain NAME] -listen ADDRESS FOLDER")
		os.Exit(2)
	}
	if err := run(*listen, flag.Arg(0), *domain, *readOnly); err != nil {
		fmt.Fprintln(os.Stderr, "objects:", err)
		os.Exit(1)
	}
}

func run(listen, folder, domain string, readOnly bool) error {
	// What S3 keeps beside an object stands in files of a second folder: not every file system has attributes for it.
	beside := filepath.Join(filepath.Dir(folder), "beside-"+filepath.Base(folder))
	if err := os.MkdirAll(beside, 0o700); err != nil {
		return err
	}
	store, err := meta.NewSideCar(beside)
	if err != nil {
		return err
	}
	files, err := posix.New(folder, store, posix.PosixOpts{SideCarDir: beside, CopyObjectThreshold: 5 << 30})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return embedgw.RunVersityGW(ctx, files, &embedgw.Config{
		RootUserAccess: "test", RootUserSecret: "test-secret", Region: "test", Ports: []string{listen},
		MaxConnections: 1000, MaxRequests: 1000, MultipartMaxParts: 10_000, KeepAlive: true, Quiet: true, Readonly: readOnly,
		VirtualDomain: domain,
	})
}
