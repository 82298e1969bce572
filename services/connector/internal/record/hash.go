package record

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
)

// hashVersion stands first in what is hashed. It changes when the set of hashed fields does, so that an old hash never
// equals a new one by accident.
const hashVersion = "concord/record/1"

// Hash returns the SHA-256, in hex, over the record's state and fields in canonical form. Equal hashes mean that nothing
// changed. Groups, relationships and the practice's own fields are left out: one listing of a provider carries them and
// another does not, and the same client must have the same hash in both. So are the legacy id and the scope, which are no
// fields of the record. The order of a contact's links does not matter. An outline has no hash: "".
func (r Record) Hash() string {
	if r.Outline {
		return ""
	}
	c := canon{text: []byte(hashVersion)}
	c.add(r.ID, string(rune('0'+r.State)))
	if r.Client != nil {
		c.client(r.Client)
	}
	if r.Contact != nil {
		c.contact(r.Contact)
	}
	sum := sha256.Sum256(c.text)
	return hex.EncodeToString(sum[:])
}

// canon writes values one after the other, each preceded by its length, so that no two different records write alike.
type canon struct{ text []byte }

func (c *canon) add(values ...string) {
	for _, v := range values {
		c.text = binary.AppendUvarint(c.text, uint64(len(v)))
		c.text = append(c.text, v...)
	}
}

func (c *canon) client(v *Client) {
	c.add("client", v.Name, v.Code, v.EntityType, v.FirstName, v.LastName, v.Email, v.Phone, v.Mobile, v.OtherPhone,
		v.Website, v.TaxNumber, v.BusinessNumber, v.CompanyNumber, v.BirthDate)
	for _, a := range []Address{v.Postal, v.Physical} {
		c.add(a.Street, a.City, a.Region, a.PostalCode, a.Country)
	}
}

func (c *canon) contact(v *Contact) {
	c.add("contact", v.Name, v.Email, v.Phone, v.Mobile, v.Salutation)
	links := slices.Clone(v.Links)
	slices.SortFunc(links, func(a, b Link) int { return strings.Compare(a.Client, b.Client) })
	for _, l := range links {
		primary := "no"
		if l.Primary {
			primary = "yes"
		}
		c.add(l.Client, l.Position, primary)
	}
}
