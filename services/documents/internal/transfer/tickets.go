package transfer

import (
	"encoding/base64"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/platform/vault"
)

// Tickets makes and reads the tokens that permit one transfer: the direction, the id of the row that says what is
// permitted, and a hash of both under the service's key. A copy of the database gives nobody a ticket, and a made-up one
// costs no query.
type Tickets struct{ vault *vault.Vault }

// NewTickets makes tickets under the vault's key.
func NewTickets(v *vault.Vault) *Tickets { return &Tickets{vault: v} }

// The directions of a ticket.
const (
	up   = 'u'
	down = 'd'
)

// Upload is the ticket for an upload. It is the same each time.
func (t *Tickets) Upload(id string) (string, error) { return t.make(up, id) }

// Download is the ticket for a download.
func (t *Tickets) Download(id string) (string, error) { return t.make(down, id) }

func (t *Tickets) make(direction byte, id string) (string, error) {
	row, err := uuid.Parse(id)
	if err != nil {
		return "", err
	}
	sum, err := t.vault.MAC([]byte{direction}, place(id))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(append([]byte{direction}, row[:]...), sum...)), nil
}

// read returns the id in a ticket of the direction; false when it is not one of ours.
func (t *Tickets) read(direction byte, ticket string) (id string, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(ticket)
	if err != nil || len(raw) < 18 || raw[0] != direction {
		return "", false
	}
	row, err := uuid.FromBytes(raw[1:17])
	if err != nil {
		return "", false
	}
	id = row.String()
	return id, t.vault.VerifyMAC(raw[17:], raw[:1], place(id)) == nil
}

func place(id string) vault.Row { return vault.Row{Table: "transfers", ID: id, Column: "ticket"} }
