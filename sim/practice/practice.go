// Package practice makes the practices of the simulated world: generated from a seed in any size, or
// read from files.
//
// A generated practice has the mess real ones have: missing codes, names that occur twice, contacts
// shared between clients, clients without e-mail or tax details, addresses of several lines,
// archived and deleted records, names of 250 characters and names that differ only in how an accent
// is encoded. All names, numbers and addresses are invented and meant to look it.
package practice

import (
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// Data is one practice, ready to be put into a world.
type Data struct {
	Tenant   world.Tenant
	Staff    []*world.Staff
	Clients  []*world.Client
	Contacts []*world.Contact
	Groups   []*world.Group
	Fields   []*world.FieldDefinition
}

// Store puts the practice into the world.
func (d *Data) Store(tx *world.Tx) {
	tenant := d.Tenant
	tenant.Order = tx.Tenants.Len()
	tx.Tenants.Put(tx, tenant.ID, &tenant)
	for _, row := range d.Staff {
		tx.Staff.Put(tx, row.UUID, row)
	}
	for _, row := range d.Clients {
		tx.Clients.Put(tx, row.UUID, row)
	}
	for _, row := range d.Contacts {
		tx.Contacts.Put(tx, row.UUID, row)
	}
	for _, row := range d.Groups {
		tx.Groups.Put(tx, row.UUID, row)
	}
	for _, row := range d.Fields {
		tx.Fields.Put(tx, row.UUID, row)
	}
}

// Read makes a practice from a path: a CSV file of clients, or a folder of recorded exchanges with
// an index.json.
func Read(path string, now time.Time) (*Data, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("practice: %w", err)
	}
	if info.IsDir() {
		return readRecorded(path, now)
	}
	return readCSV(path, now)
}

// derive makes an id that is the same each time for the same words.
func derive(words ...string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", words))
	return world.FormatID([16]byte(sum[:16]))
}

// nextInt numbers rows for the 3.0 answers.
func (d *Data) nextInt() int {
	d.Tenant.NextInt++
	return d.Tenant.NextInt
}
