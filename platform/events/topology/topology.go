// Package topology is the one declaration of the event bus: which streams there are, which part of the suite fills and
// which one follows each of them, and what a part may do on the bus because of that.
//
// Everything else derives from it: services are checked against it when they start (package events), the command migrate
// makes the streams it names, `bus permissions` prints the users of the NATS servers (WriteAccounts), and a running part
// compares it with what the servers have (package link).
package topology

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Stream is the part of the bus that holds the events of one emitter.
type Stream struct {
	// Name is that of the JetStream stream.
	Name string
	// Emitter is the first word of the subjects: the stream takes "<emitter>.v1.>".
	Emitter string
	// Maker is the part of the suite that makes the stream and keeps it in shape.
	Maker string
}

// Subjects are those that the stream takes.
func (s Stream) Subjects() []string { return []string{s.Emitter + ".v1.>"} }

// Retention is how long a stream keeps an event. It is longer than the outbox, so that a row of the outbox is always
// expected on the bus.
const Retention = 16 * 24 * time.Hour

// DuplicateWindow is how long the bus itself recognises an event it has already taken. It costs memory on the server; a
// relay that is away for longer makes duplicates, which the inbox takes care of.
const DuplicateWindow = 20 * time.Minute

// Replicas is how many servers hold each event where there are three or more. Fewer servers hold it once; the setting
// nats_replicas says so.
const Replicas = 3

// Streams lists the streams of the suite. Every service emits into AUDIT besides its own; auth, which reads it, makes it.
func Streams() []Stream {
	return []Stream{
		{"AUTH", "auth", "auth"}, {"CONNECTOR", "connector", "connector"}, {"SYNC", "sync", "sync"},
		{"DOCUMENTS", "documents", "documents"}, {"AUDIT", "audit", "auth"},
	}
}

// StreamNamed returns the stream of that name.
func StreamNamed(name string) (Stream, bool) {
	all := Streams()
	i := slices.IndexFunc(all, func(s Stream) bool { return s.Name == name })
	if i < 0 {
		return Stream{}, false
	}
	return all[i], true
}

// StreamOf returns the stream that takes subject.
func StreamOf(subject string) (Stream, bool) {
	emitter, rest, _ := strings.Cut(subject, ".")
	for _, s := range Streams() {
		if s.Emitter == emitter && strings.HasPrefix(rest, "v1.") {
			return s, true
		}
	}
	return Stream{}, false
}

// Part is what one part of the suite does on the bus.
type Part struct {
	// Name is the part's; its durable consumers have it, too.
	Name string
	// Emits names the streams that the part's relay fills, its own and AUDIT.
	Emits []string
	// Follows names the streams of which the part has a durable consumer.
	Follows []string
	// Watches names the subjects that every process of the part reads from the stream without keeping a place.
	Watches []string
}

// sessionRevoked is watched by every process: it ends the session's tokens at once.
const sessionRevoked = "auth.v1.session_revoked"

// Parts lists the parts of the suite.
func Parts() []Part {
	watches := []string{sessionRevoked}
	return []Part{
		{Name: "auth", Emits: []string{"AUTH", "AUDIT"}, Follows: []string{"AUDIT", "CONNECTOR", "SYNC"}, Watches: watches},
		{Name: "connector", Emits: []string{"CONNECTOR", "AUDIT"}, Watches: watches},
		{Name: "sync", Emits: []string{"SYNC", "AUDIT"}, Follows: []string{"AUTH", "CONNECTOR", "DOCUMENTS"}, Watches: watches},
		{Name: "documents", Emits: []string{"DOCUMENTS", "AUDIT"}, Follows: []string{"AUTH", "SYNC"}, Watches: watches},
		{Name: "gateway", Watches: watches},
	}
}

// PartNamed returns the part of that name; false for a program that is none of the suite's, of which this package knows
// nothing.
func PartNamed(name string) (Part, bool) {
	all := Parts()
	i := slices.IndexFunc(all, func(p Part) bool { return p.Name == name })
	if i < 0 {
		return Part{}, false
	}
	return all[i], true
}

// Makes lists the streams that the part makes and keeps in shape.
func (p Part) Makes() []Stream {
	return slices.DeleteFunc(Streams(), func(s Stream) bool { return s.Maker != p.Name })
}

// Needs names the streams without which the part cannot do its work, in the order of Streams.
func (p Part) Needs() []string {
	var names []string
	for _, s := range Streams() {
		watched := slices.ContainsFunc(p.Watches, func(subject string) bool { of, _ := StreamOf(subject); return of == s })
		if watched || slices.Contains(p.Emits, s.Name) || slices.Contains(p.Follows, s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}

// MayEmit is nil when the part is declared to fill the stream. A program that is not of the suite may: the servers'
// permissions decide about it.
func MayEmit(part, stream string) error {
	if p, ok := PartNamed(part); ok && !slices.Contains(p.Emits, stream) {
		return fmt.Errorf("events: %s is not declared to emit into the stream %s: declare it in platform/events/topology", part, stream)
	}
	return nil
}

// MayFollow is nil when the part is declared to have a durable consumer of the stream.
func MayFollow(part, stream string) error {
	if p, ok := PartNamed(part); ok && !slices.Contains(p.Follows, stream) {
		return fmt.Errorf("events: %s is not declared to follow the stream %s: declare it in platform/events/topology", part, stream)
	}
	return nil
}

// MayWatch is nil when the part is declared to read the subject without keeping a place.
func MayWatch(part, subject string) error {
	if p, ok := PartNamed(part); ok && !slices.Contains(p.Watches, subject) {
		return fmt.Errorf("events: %s is not declared to watch %s: declare it in platform/events/topology", part, subject)
	}
	return nil
}

// BeaconSubject is where relays say how far a stream is complete, outside of JetStream.
func BeaconSubject(stream string) string { return "concord.beacon." + stream }

// Inbox is the prefix of the subjects under which a program gets its answers. Nobody else may listen there.
func Inbox(part string) string { return "_INBOX_" + part }
