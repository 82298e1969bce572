module github.com/concord-suite/concord/tiny

go 1.26.0

require github.com/concord-suite/concord/linked v0.0.0

replace github.com/concord-suite/concord/linked => ./linked
