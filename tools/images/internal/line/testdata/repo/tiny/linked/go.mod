module github.com/concord-suite/concord/linked

go 1.26.0
