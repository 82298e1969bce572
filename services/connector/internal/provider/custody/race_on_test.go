//go:build race

package custody_test

// matrixRounds is smaller under the race detector: the detector makes a round five times as long, the processes do not
// share the memory it watches, and what one process does at once shows in the first rounds.
const matrixRounds = 5
