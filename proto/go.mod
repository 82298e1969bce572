module github.com/concord-suite/concord/proto

go 1.26.0
