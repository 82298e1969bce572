module github.com/concord-suite/concord/proto

go 1.26.0

require google.golang.org/protobuf v1.36.12
