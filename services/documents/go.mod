module github.com/concord-suite/concord/services/documents

go 1.26.0

require (
	github.com/stretchr/testify v1.12.1
	golang.org/x/sys v0.49.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace (
	github.com/concord-suite/concord/platform => ../../platform
	github.com/concord-suite/concord/proto => ../../proto
)
