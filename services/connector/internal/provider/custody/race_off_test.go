//go:build !race

package custody_test

// matrixRounds is how often every grant of TestRefreshMatrix expires on each engine without faults: with matrixGrants
// grants and two engines that is 10,000 expiries. roughRounds is how often with faults, where every round waits for the
// leases of the killed, frozenRounds how often with a stopped server.
const matrixRounds, roughRounds, frozenRounds = 25, 10, 2
