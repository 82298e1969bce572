#!/usr/bin/env bash
# Runs every fuzz target of the modules given, one after the other, each for the time in $FUZZTIME (default 60s), and stops
# at the first finding: what failed is then in the package's testdata/fuzz, where the ordinary tests run it from then on.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-60s}
count=0
mkdir -p .cache # a fresh checkout has none
while IFS=: read -r file target; do
	count=$((count + 1))
	printf '%-28s %s\n' "$target" "./$(dirname "$file")"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "./$(dirname "$file")" >.cache/fuzz.log 2>&1 ||
		{ cat .cache/fuzz.log; exit 1; }
	grep -o 'execs: [0-9]* ([0-9/a-z]*)' .cache/fuzz.log | tail -1 | sed 's/^/    /'
done < <(grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' "$@" | sed 's/func //' | sort)
echo "$count targets, $time each, no finding"
[ "$count" -gt 0 ]
