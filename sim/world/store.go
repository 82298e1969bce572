// Package world is everything the simulated upstream world remembers: practices with their clients
// and contacts, organisations with the parties they trade with, people, grants, messages, limit windows and faults, in memory and on disk.
//
// Reads and writes go through Store.View and Store.Update. A write is atomic, and on disk when
// Update returns; a process killed at any moment finds what it answered for. The package knows no
// protocol: the XML, JSON and HTML of the providers live with the packages that speak them.
package world

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/concord-suite/concord/sim/journal"
)

// State is the tables of the world. Rows reached through it must not be changed in place.
type State struct {
	Settings    *Table[Settings]
	Apps        *Table[App]
	Tenants     *Table[Tenant]
	People      *Table[Person]
	Staff       *Table[Staff]
	Clients     *Table[Client]
	Contacts    *Table[Contact]
	Groups      *Table[Group]
	Fields      *Table[FieldDefinition]
	Sessions    *Table[Session]
	Codes       *Table[Code]
	Grants      *Table[Grant]
	Connections *Table[Connection]
	Messages    *Table[Message]
	Deliveries  *Table[DeliveryRule]
	Faults      *Table[Fault]
	Windows     *Table[Window]
	Calls       *Table[CallCount]
	Parties     *Table[Party]
	PartyGroups *Table[PartyGroup]
	Remembered  *Table[Remembered]
	Hooks       *Table[Hook]
	HookEvents  *Table[HookEvent]
}

type anyTable interface {
	load(journal.Record) error
	dump(func(journal.Record) error) error
}

// Store is the world's state with its journal.
type Store struct {
	mu    sync.RWMutex
	state State
	byID  map[string]anyTable
	log   *journal.Log // nil: memory only
	now   func() time.Time

	sorted sortedViews
	signal broadcast
}

// Tx is a write in progress. It is valid only inside the function given to Update or Note.
type Tx struct {
	*State
	// Now is the world's time, the same throughout the write.
	Now     time.Time
	records []journal.Record
	undo    []func()
	err     error
}

// Open reads the world in dir, or begins an empty one there. An empty dir keeps it in memory only.
// now is the real clock; the world's own clock may run ahead of it (Settings.ClockAhead).
func Open(dir string, now func() time.Time) (*Store, error) {
	s := &Store{now: now}
	s.makeTables()
	s.signal.init()
	if dir == "" {
		return s, nil
	}
	log, err := journal.Open(dir, func(r journal.Record) error {
		table := s.byID[r.Kind]
		if table == nil {
			return fmt.Errorf("unknown kind %q: was this folder written by a newer version?", r.Kind)
		}
		return table.load(r)
	})
	if err != nil {
		return nil, err
	}
	s.log = log
	return s, nil
}

func (s *Store) makeTables() {
	s.byID = map[string]anyTable{}
	st := &s.state
	st.Settings = register[Settings](s, "settings")
	st.Apps = register[App](s, "app")
	st.Tenants = register[Tenant](s, "tenant")
	st.People = register[Person](s, "person")
	st.Staff = register[Staff](s, "staff")
	st.Clients = register[Client](s, "client")
	st.Contacts = register[Contact](s, "contact")
	st.Groups = register[Group](s, "group")
	st.Fields = register[FieldDefinition](s, "field")
	st.Sessions = register[Session](s, "session")
	st.Codes = register[Code](s, "code")
	st.Grants = register[Grant](s, "grant")
	st.Connections = register[Connection](s, "connection")
	st.Messages = register[Message](s, "message")
	st.Deliveries = register[DeliveryRule](s, "delivery")
	st.Faults = register[Fault](s, "fault")
	st.Windows = register[Window](s, "window")
	st.Calls = register[CallCount](s, "calls")
	st.Parties = register[Party](s, "party")
	st.PartyGroups = register[PartyGroup](s, "partygroup")
	st.Remembered = register[Remembered](s, "remembered")
	st.Hooks = register[Hook](s, "hook")
	st.HookEvents = register[HookEvent](s, "hookevent")
}

func register[T any](s *Store, kind string) *Table[T] {
	t := newTable[T](kind)
	s.byID[kind] = t
	return t
}

// Close flushes the world to disk and lets another process open it.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log == nil {
		return nil
	}
	return s.log.Close()
}

// View calls f with the state while nobody writes. f may keep rows, not tables.
func (s *Store) View(f func(*State)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f(&s.state)
}

// Update runs f as one atomic write and returns once it is on disk. If f returns an error nothing
// of it stays and the error is passed on.
func (s *Store) Update(f func(*Tx) error) error {
	mark, err := s.write(f)
	if err != nil || mark == 0 {
		return err
	}
	return s.log.Sync(mark)
}

// Note is Update for what may be lost with the machine but not with the process, such as counters:
// it does not wait for the disk.
func (s *Store) Note(f func(*Tx) error) error {
	_, err := s.write(f)
	return err
}

func (s *Store) write(f func(*Tx) error) (journal.Mark, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := &Tx{State: &s.state, Now: s.clock()}
	err := errors.Join(f(tx), tx.err)
	if err != nil || len(tx.records) == 0 {
		tx.rollback()
		return 0, err
	}
	defer s.signal.fire()
	if s.log == nil {
		return 0, nil
	}
	mark, err := s.log.Append(tx.records)
	if err != nil {
		tx.rollback()
		return 0, err
	}
	if s.log.Bloated() {
		// The write stands whether or not this works: on failure the old file goes on, and the next
		// attempt comes when it has doubled again.
		_ = s.log.Compact(s.dump)
	}
	return mark, nil
}

func (s *Store) dump(yield func(journal.Record) error) error {
	for _, table := range s.byID {
		if err := table.dump(yield); err != nil {
			return err
		}
	}
	return nil
}

// Now returns the world's time in UTC.
func (s *Store) Now() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.clock()
}

func (s *Store) clock() time.Time {
	return s.now().Add(s.state.settings().ClockAhead.Duration()).UTC()
}

// Changed returns a channel that is closed at the next write.
func (s *Store) Changed() <-chan struct{} { return s.signal.wait() }

func (tx *Tx) add(r journal.Record, undo func()) {
	tx.records = append(tx.records, r)
	tx.undo = append(tx.undo, undo)
}

func (tx *Tx) fail(err error) { tx.err = errors.Join(tx.err, err) }

func (tx *Tx) rollback() {
	for _, undo := range slices.Backward(tx.undo) {
		undo()
	}
}

// NewID returns a random lowercase UUID (version 4), the form all providers here use.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // crypto/rand never fails: it ends the process instead
	return FormatID(b)
}

// FormatID writes 16 bytes as a version 4 UUID.
func FormatID(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// IsID reports whether s has the form of a UUID, in either case.
func IsID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(strings.ToLower(s)) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		if dash != (c == '-') || !dash && !hex {
			return false
		}
	}
	return true
}
