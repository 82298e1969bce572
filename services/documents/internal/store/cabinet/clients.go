package cabinet

import (
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/departure"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/store"
)

// Profile is what the client list says of a client.
type Profile struct {
	Firm, Client      string
	DisplayName, Code string
	// Sequence counts what the client list said of this client.
	Sequence int64
}

// NameClient follows the client list: a new client gets its folder, a renamed one its name. Old news changes nothing.
func (c *Cabinet) NameClient(tx *sqldb.Tx, p Profile) error {
	client, err := store.EnsureClient(tx, p.Firm, p.Client)
	if err != nil || p.Sequence <= client.Named {
		return err
	}
	client.DisplayName, client.Code, client.Named = store.Honest(p.DisplayName), p.Code, p.Sequence
	if client.State == departure.Listed {
		if client, err = c.clientFolder(tx, client); err != nil {
			return err
		}
	}
	return store.SaveClient(tx, client)
}

// clientFolder makes sure that a listed client has a folder in use, named after it. The caller saves the client.
func (c *Cabinet) clientFolder(tx *sqldb.Tx, client departure.Client) (departure.Client, error) {
	display := titleOf(client)
	if client.Folder == "" {
		f, err := c.addFolder(tx, filing.Folder{Firm: client.Firm, Kind: filing.Client, Client: client.ID, DisplayName: display}, client.Code)
		client.Folder = f.ID
		return client, err
	}
	f, err := store.LockFolder(tx, client.Firm, client.Folder)
	if err != nil || f.Kind != filing.Client || f.State != filing.Active {
		return client, err
	}
	_, err = c.reopen(tx, f, display, client.Code)
	return client, err
}

// titleOf is the name of a client's folder. A client that is known by its id alone has one until its name arrives.
func titleOf(client departure.Client) string {
	if client.DisplayName != "" {
		return client.DisplayName
	}
	return "Client"
}

// RelateContact follows the client list: the full set of clients that a contact relates to.
func (c *Cabinet) RelateContact(tx *sqldb.Tx, s store.Scope, sequence int64) error {
	return store.ReplaceScope(tx, s, sequence)
}
