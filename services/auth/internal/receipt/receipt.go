// Package receipt says how far a message got, by what its provider reported.
package receipt

// State is how far a message got. A higher one replaces a lower one: what arrived has arrived, whatever was said before
// or is repeated later.
type State int

// The states.
const (
	// Unknown is what nobody has told yet, or a state that says nothing here.
	Unknown State = iota
	// Sent messages were taken by the provider.
	Sent
	// Undelivered messages will not arrive.
	Undelivered
	// Delivered messages have arrived.
	Delivered
)
