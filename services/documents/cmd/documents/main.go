// Command documents keeps folders, documents, email jobs and signature requests.
package main

import (
	"context"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/kms"
	"github.com/concord-suite/concord/services/documents"
)

func main() {
	boot.Main(documents.Name, func(ctx context.Context, rt *boot.Runtime, cfg documents.Config) (boot.Service, error) {
		return documents.New(ctx, cfg, documents.Deps{
			DB: rt.DB, Bus: rt.Bus, BusReplicas: rt.BusReplicas, Meter: rt.Meter(), Sync: rt.Dial("sync"), Vault: rt.Vault,
			Revocations: rt.Revocations, Audit: rt.Audit, Now: rt.Now, Logger: rt.Logger,
		})
	}, boot.Database(documents.Migrations), boot.Keyring(documents.Inventory, kms.Open), boot.GRPC(), boot.InternalHTTP(),
		boot.Callers("sync", "gateway"), boot.Peers("auth", "sync"), boot.WithTool(blobsCopy))
}
