// Command connector connects firms to the systems they keep their clients in, and reads records there.
package main

import (
	"context"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/kms"
	"github.com/concord-suite/concord/services/connector"
)

func main() {
	boot.Main(connector.Name, func(ctx context.Context, rt *boot.Runtime, cfg connector.Config) (boot.Service, error) {
		return connector.New(ctx, cfg, connector.Deps{
			DB: rt.DB, Bus: rt.Bus, BusReplicas: rt.BusReplicas, Meter: rt.Meter(), Auth: rt.Dial("auth"), Vault: rt.Vault,
			Revocations: rt.Revocations, Now: rt.Now, Logger: rt.Logger,
		})
	}, boot.Database(connector.Migrations), boot.Keyring(connector.Inventory, kms.Open), boot.GRPC(), boot.Callers("sync", "gateway"), boot.Peers("auth"),
		boot.WithTool(doctor()))
}
