//go:build !race

package budget_test

// raced is whether the race detector looks on.
const raced = false
