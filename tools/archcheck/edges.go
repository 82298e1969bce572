package main

// edges are the internal packages of services, with all below them, that talk to the outside world or to other services,
// with whom they talk to. They stand beside api: they may know the store, platform and the contract. Domain packages may
// not know them.
var edges = map[string]string{
	"services/auth/internal/delivery":      "the SMS gateway and the mail server",
	"services/auth/internal/tlsscan":       "the suite's own public address, as a stranger does",
	"services/connector/internal/provider": "the providers",
	"services/documents/internal/postal":   "the mail server, and contacts of sync",
	"services/documents/internal/sweep":    "the workers that clean up: blobs on one side, the store on the other",
	"services/documents/internal/transfer": "whoever uploads and downloads bytes",
	"services/sync/internal/peer":          "connector, documents and auth",
	"services/sync/internal/runner":        "the workers of runs: connector on one side, the store on the other",
	"services/sync/internal/saga":          "the workers of off-boardings: the peers on one side, the store on the other",
}
