//go:build !race

package custody_test

// matrixRounds is how often every grant of TestRefreshMatrix expires, per engine: once without faults and once with.
// With matrixGrants grants and two engines that is 10,000 expiries each.
const matrixRounds = 25
