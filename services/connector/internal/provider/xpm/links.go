package xpm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// links knows which clients each contact belongs to. It takes about 40 bytes per link, so that the 150,000 of a practice
// of 100,000 clients fit into 6 MB.
type links struct {
	all       []link
	positions []string
	index     map[string]uint32
}

type link struct {
	contact  [16]byte
	client   [16]byte
	position uint32
	primary  bool
}

// readLinks reads the unpaged list of clients, whose contacts say what the list of contacts does not. It is one call.
// Archived clients are in it too: a contact of a client that is about to leave is still that client's.
func readLinks(ctx context.Context, c provider.Caller, limit int64) (*links, error) {
	var found *links
	request := provider.Request{Method: http.MethodGet, Path: "client.api/list", Query: url.Values{"detailed": {"false"}}, Heavy: true}
	err := c.Call(ctx, request, func(a provider.Answer) error {
		found = &links{index: map[string]uint32{}}
		return decode(a, limit, func(r *reader, name string) error {
			if name != "Clients" {
				return nil
			}
			return r.clients(found.add)
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found.all, func(a, b link) int {
		if n := bytes.Compare(a.contact[:], b.contact[:]); n != 0 {
			return n
		}
		return bytes.Compare(a.client[:], b.client[:])
	})
	return found, nil
}

func (l *links) add(c client) error {
	for _, one := range c.contacts {
		at, known := l.index[one.position]
		if !known {
			at = uint32(len(l.positions))
			l.positions = append(l.positions, one.position)
			l.index[one.position] = at
		}
		l.all = append(l.all, link{contact: key(one.id), client: uuid.MustParse(c.uuid), position: at, primary: one.primary})
	}
	return nil
}

// of returns the clients of a contact.
func (l *links) of(contact string) []record.Link {
	k := key(contact)
	at, _ := slices.BinarySearchFunc(l.all, k, func(x link, k [16]byte) int { return bytes.Compare(x.contact[:], k[:]) })
	var found []record.Link
	for ; at < len(l.all) && l.all[at].contact == k; at++ {
		x := l.all[at]
		found = append(found, record.Link{Client: uuid.UUID(x.client).String(), Position: l.positions[x.position], Primary: x.primary})
	}
	return found
}

// key is a contact's id in 16 bytes: the UUID itself, or part of a hash of what is none.
func key(id string) (k [16]byte) {
	if u, err := uuid.Parse(id); err == nil {
		return u
	}
	sum := sha256.Sum256([]byte(id))
	copy(k[:], sum[:])
	return k
}
