// Command sync keeps the client list of firms in step with the systems their clients live in, and off-boards clients.
package main

import (
	"context"

	"github.com/concord-suite/concord/platform/boot"
	syncsvc "github.com/concord-suite/concord/services/sync"
)

func main() {
	boot.Main(syncsvc.Name, func(ctx context.Context, rt *boot.Runtime, cfg syncsvc.Config) (boot.Service, error) {
		return syncsvc.New(ctx, cfg, syncsvc.Deps{
			DB: rt.DB, Bus: rt.Bus, BusReplicas: rt.BusReplicas, Meter: rt.Meter(), Connector: rt.Dial("connector"), Documents: rt.Dial("documents"),
			Auth: rt.Dial("auth"), Revocations: rt.Revocations, Now: rt.Now, Logger: rt.Logger,
		})
	}, boot.Database(syncsvc.Migrations), boot.GRPC(), boot.Callers("auth", "documents", "gateway"), boot.Peers("auth", "connector", "documents"))
}
