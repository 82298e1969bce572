module github.com/concord-suite/concord/sim

go 1.26.0
