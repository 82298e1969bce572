package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/services/documents"
)

// blobsCopy is the command that moves documents' bytes between a folder and the storage of the settings.
var blobsCopy = boot.Tool{
	Word: "blobs copy",
	Help: "copy the documents' bytes: --from-dir DIR into the storage of the settings, or --to-dir DIR out of it; --verify reads what is there",
	Flags: func(f *flag.FlagSet) boot.ToolRun {
		c := &copyRun{}
		f.StringVar(&c.from, "from-dir", "", "the folder to copy from")
		f.StringVar(&c.to, "to-dir", "", "the folder to copy into")
		f.BoolVar(&c.verify, "verify", false, "read what is there already, too")
		return c
	},
}

type copyRun struct {
	from, to string
	verify   bool
}

// Check implements boot.ToolRun.
func (c *copyRun) Check() error {
	if (c.from == "") == (c.to == "") {
		return errors.New("blobs copy needs --from-dir or --to-dir, a folder")
	}
	return nil
}

// Run implements boot.ToolRun.
func (c *copyRun) Run(ctx context.Context, env boot.ToolEnv) (well bool, err error) {
	cfg, ok := env.Config.(*documents.Config)
	if !ok {
		return false, errors.New("the settings are not those of documents")
	}
	moved, err := documents.CopyBlobs(ctx, *cfg, documents.Move{Folder: c.from + c.to, Out: c.to != "", Verify: c.verify},
		func(key string) { fmt.Fprintln(env.Out, "damaged:", key) })
	fmt.Fprintln(env.Out, moved)
	return moved.Damaged == 0, err
}
