// Command auth signs people in, says who they are, and keeps the audit ledger.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/kms"
	"github.com/concord-suite/concord/services/auth"
)

func main() {
	boot.Main(auth.Name, func(ctx context.Context, rt *boot.Runtime, cfg auth.Config) (boot.Service, error) {
		svc, err := auth.New(ctx, cfg, auth.Deps{
			DB: rt.DB, Bus: rt.Bus, BusReplicas: rt.BusReplicas, Meters: rt.Telemetry.Meters, Sync: rt.Dial("sync"), Vault: rt.Vault,
			Revocations: rt.Revocations, Now: rt.Now, Logger: rt.Logger,
		})
		if err != nil {
			return nil, err
		}
		rt.TrustKeys(svc.Keys())
		code, err := svc.SetupCode(ctx)
		if code != "" {
			// For whoever stands at this console, and no log.
			fmt.Fprintf(os.Stdout, "setup code  %s  (claims the installation, once, within three days)\n", code)
		}
		return svc, err
	}, append(tools(), boot.Database(auth.Migrations), boot.Keyring(auth.Inventory, kms.Open), boot.GRPC(),
		boot.Callers("connector", "documents", "sync", "gateway"), boot.Peers("sync"))...)
}
