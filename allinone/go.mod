module github.com/concord-suite/concord/allinone

go 1.26.0

require (
	github.com/concord-suite/concord/proto v0.0.0
	github.com/concord-suite/concord/platform v0.0.0
	github.com/concord-suite/concord/services/auth v0.0.0
	github.com/concord-suite/concord/services/connector v0.0.0
	github.com/concord-suite/concord/services/sync v0.0.0
	github.com/concord-suite/concord/services/documents v0.0.0
	github.com/concord-suite/concord/gateway v0.0.0
	github.com/concord-suite/concord/sim v0.0.0
)

replace (
	github.com/concord-suite/concord/proto => ../proto
	github.com/concord-suite/concord/platform => ../platform
	github.com/concord-suite/concord/services/auth => ../services/auth
	github.com/concord-suite/concord/services/connector => ../services/connector
	github.com/concord-suite/concord/services/sync => ../services/sync
	github.com/concord-suite/concord/services/documents => ../services/documents
	github.com/concord-suite/concord/gateway => ../gateway
	github.com/concord-suite/concord/sim => ../sim
)
