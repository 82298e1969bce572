module github.com/concord-suite/concord/gateway

go 1.26.0

require (
	github.com/concord-suite/concord/proto v0.0.0
	github.com/concord-suite/concord/platform v0.0.0
)

replace (
	github.com/concord-suite/concord/proto => ../proto
	github.com/concord-suite/concord/platform => ../platform
)
