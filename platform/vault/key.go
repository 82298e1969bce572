package vault

import "strconv"

// KeyID names a key of the keyring: 8 hex digits.
type KeyID string

// number is the id as Tink has it.
func (k KeyID) number() uint32 {
	n, err := strconv.ParseUint(string(k), 16, 32)
	if err != nil {
		return 0 // no key has it
	}
	return uint32(n)
}

// Role is what a key of the keyring is for now.
type Role string

// The roles.
const (
	// Primary seals or hashes, and opens or verifies.
	Primary Role = "primary"
	// Pending was added and not promoted yet: it opens what others sealed with it already.
	Pending Role = "pending"
	// Old was the primary key before; it opens what was sealed then.
	Old Role = "old"
)

// Key is a key of the keyring.
type Key struct {
	ID   KeyID
	Role Role
}

// Keys are the keys of a keyring: those that seal and those that hash, the oldest first.
type Keys struct {
	Seal, MAC []Key
}

// Sealing returns the key that seals.
func (k Keys) Sealing() KeyID { return first(k.Seal, Primary) }

// Hashing returns the key that hashes.
func (k Keys) Hashing() KeyID { return first(k.MAC, Primary) }

// With returns the keys of one role, for sealing and for hashing.
func (k Keys) With(role Role) (seal, mac []KeyID) { return with(k.Seal, role), with(k.MAC, role) }

// All returns the ids of all keys.
func (k Keys) All() []KeyID {
	var ids []KeyID
	for _, key := range append(append([]Key(nil), k.Seal...), k.MAC...) {
		ids = append(ids, key.ID)
	}
	return ids
}

func (k Keys) has(id KeyID) bool {
	for _, known := range k.All() {
		if known == id {
			return true
		}
	}
	return false
}

func with(keys []Key, role Role) (ids []KeyID) {
	for _, key := range keys {
		if key.Role == role {
			ids = append(ids, key.ID)
		}
	}
	return ids
}

func first(keys []Key, role Role) KeyID {
	for _, id := range with(keys, role) {
		return id
	}
	return ""
}
