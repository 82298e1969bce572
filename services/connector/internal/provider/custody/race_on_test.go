//go:build race

package custody_test

// These are smaller under the race detector: it makes a round five times as long, the processes do not share the memory
// it watches, and what one process does at once shows in the first rounds. Five rough rounds kill at every step.
const matrixRounds, roughRounds, frozenRounds = 4, 5, 1
