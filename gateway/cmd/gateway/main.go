// Command gateway gives frontends the suite as REST.
package main

import (
	"context"

	"github.com/concord-suite/concord/gateway"
	"github.com/concord-suite/concord/platform/boot"
)

func main() {
	boot.Main("gateway", func(ctx context.Context, rt *boot.Runtime, cfg gateway.Config) (boot.Service, error) {
		bytes, host := rt.DialHTTP("documents")
		return gateway.New(ctx, cfg, gateway.Deps{
			Auth: rt.Dial("auth"), Connector: rt.Dial("connector"), Sync: rt.Dial("sync"), Documents: rt.Dial("documents"),
			Bytes: bytes, BytesHost: host, Bus: rt.Bus, Now: rt.Now, Logger: rt.Logger,
		})
	}, boot.PublicHTTP(), boot.Peers("auth", "connector", "sync", "documents"), boot.HTTPPeers("documents"))
}
