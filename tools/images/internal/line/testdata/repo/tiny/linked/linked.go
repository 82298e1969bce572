// Package linked is a module that the program has.
package linked

// Greeting begins the program's report.
const Greeting = "here I am"
