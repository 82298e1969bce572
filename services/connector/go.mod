module github.com/concord-suite/concord/services/connector

go 1.26.0

require (
	github.com/concord-suite/concord/proto v0.0.0
	github.com/concord-suite/concord/platform v0.0.0
	github.com/concord-suite/concord/sim v0.0.0
)

replace (
	github.com/concord-suite/concord/proto => ../../proto
	github.com/concord-suite/concord/platform => ../../platform
	github.com/concord-suite/concord/sim => ../../sim
)
