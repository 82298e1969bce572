module github.com/concord-suite/concord/services/connector

go 1.26.0

require (
	github.com/concord-suite/concord/platform v0.0.0
	github.com/concord-suite/concord/proto v0.0.0
	github.com/concord-suite/concord/sim v0.0.0
	github.com/google/uuid v1.6.0
	github.com/stretchr/testify v1.12.1
	golang.org/x/oauth2 v0.37.0
	golang.org/x/sync v0.24.0
	golang.org/x/text v0.43.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

replace (
	github.com/concord-suite/concord/platform => ../../platform
	github.com/concord-suite/concord/proto => ../../proto
	github.com/concord-suite/concord/sim => ../../sim
)
