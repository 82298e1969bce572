//go:build race

package budget_test

// raced is whether the race detector looks on, under which SQLite is more than ten times slower: the same is done with less.
const raced = true
