package node

import (
	"context"
	"io/fs"

	"github.com/concord-suite/concord/gateway"
	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/services/auth"
	"github.com/concord-suite/concord/services/connector"
	"github.com/concord-suite/concord/services/documents"
	syncsvc "github.com/concord-suite/concord/services/sync"
)

// part is one service in the node: what its own program says in its main.
type part struct {
	name       string
	migrations fs.FS
	peers      []string
	httpPeers  []string
	http       httpKind
	inventory  *rotation.Inventory // what is under the keyring
	build      func(ctx context.Context, n *Node, rt *boot.Runtime) (boot.Service, error)
}

type httpKind int

const (
	noHTTP httpKind = iota
	bytesHTTP
	publicHTTP
)

// parts are the services in the order in which they are built; connections between them are made by the first call.
var parts = []part{
	{name: "auth", migrations: auth.Migrations, inventory: &auth.Inventory, peers: []string{"sync"}, build: buildAuth},
	{name: "connector", migrations: connector.Migrations, inventory: &connector.Inventory, peers: []string{"auth"}, build: buildConnector},
	{name: "documents", migrations: documents.Migrations, inventory: &documents.Inventory, peers: []string{"auth", "sync"},
		http: bytesHTTP, build: buildDocuments},
	{name: "sync", migrations: syncsvc.Migrations, peers: []string{"auth", "connector", "documents"}, build: buildSync},
	{name: "gateway", peers: []string{"auth", "connector", "sync", "documents"}, httpPeers: []string{"documents"}, http: publicHTTP, build: buildGateway},
}

// Services are the names of the services that keep a database.
func Services() []string {
	var names []string
	for _, p := range parts {
		if p.migrations != nil {
			names = append(names, p.name)
		}
	}
	return names
}

func buildAuth(ctx context.Context, n *Node, rt *boot.Runtime) (boot.Service, error) {
	svc, err := auth.New(ctx, n.settings.auth, auth.Deps{
		DB: rt.DB, Bus: rt.Bus, BusReplicas: rt.BusReplicas, Sync: rt.Dial("sync"), Vault: rt.Vault,
		Revocations: rt.Revocations, Now: rt.Now, Logger: rt.Logger, Meters: rt.Telemetry.Meters,
	})
	if err != nil {
		return nil, err
	}
	rt.TrustKeys(svc.Keys())
	n.SetupCode, err = svc.SetupCode(ctx)
	return svc, err
}

func buildGateway(ctx context.Context, n *Node, rt *boot.Runtime) (boot.Service, error) {
	bytes, host := rt.DialHTTP("documents")
	return gateway.New(ctx, n.settings.gateway, gateway.Deps{
		Auth: rt.Dial("auth"), Connector: rt.Dial("connector"), Sync: rt.Dial("sync"), Documents: rt.Dial("documents"),
		Bytes: bytes, BytesHost: host, Bus: rt.Bus, Now: rt.Now, Logger: rt.Logger,
	})
}

func buildConnector(ctx context.Context, n *Node, rt *boot.Runtime) (boot.Service, error) {
	return connector.New(ctx, n.settings.connector, connector.Deps{
		DB: rt.DB, Bus: rt.Bus, BusReplicas: rt.BusReplicas, Auth: rt.Dial("auth"), Vault: rt.Vault,
		Revocations: rt.Revocations, Now: rt.Now, Logger: rt.Logger,
	})
}

func buildDocuments(ctx context.Context, n *Node, rt *boot.Runtime) (boot.Service, error) {
	return documents.New(ctx, n.settings.documents, documents.Deps{
		DB: rt.DB, Bus: rt.Bus, BusReplicas: rt.BusReplicas, Sync: rt.Dial("sync"), Vault: rt.Vault,
		Revocations: rt.Revocations, Audit: rt.Audit, Now: rt.Now, Logger: rt.Logger,
	})
}

func buildSync(ctx context.Context, n *Node, rt *boot.Runtime) (boot.Service, error) {
	return syncsvc.New(ctx, n.settings.sync, syncsvc.Deps{
		DB: rt.DB, Bus: rt.Bus, BusReplicas: rt.BusReplicas, Auth: rt.Dial("auth"), Connector: rt.Dial("connector"),
		Documents: rt.Dial("documents"), Revocations: rt.Revocations, Now: rt.Now, Logger: rt.Logger,
	})
}
