package practice

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// Columns are the columns of a CSV of clients, in any order; only name is required.
//
// contacts holds "Name <e-mail>" entries separated by semicolons, the e-mail optional; the same name
// and e-mail in several rows is one contact of several clients. archived and deleted are yes or no.
var Columns = []string{
	"uuid", "code", "name", "structure", "first_name", "last_name", "email", "date_of_birth", "phone", "website",
	"address", "city", "region", "postcode", "country", "postal_address", "postal_city", "postal_region",
	"postal_postcode", "postal_country", "tax_number", "company_number", "business_number", "group", "contacts",
	"archived", "deleted",
}

func readCSV(path string, now time.Time) (*Data, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("practice: %w", err)
	}
	defer file.Close()
	in := csv.NewReader(file)
	in.FieldsPerRecord = 0 // every row must be as long as the header
	header, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("practice: %s: the header cannot be read: %w", path, err)
	}
	for i := range header {
		header[i] = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(header[i], "\ufeff")))
		if !slices.Contains(Columns, header[i]) {
			return nil, fmt.Errorf("practice: %s: unknown column %q; known are %s", path, header[i], strings.Join(Columns, ", "))
		}
	}
	if !slices.Contains(header, "name") {
		return nil, fmt.Errorf("practice: %s: the column name is missing", path)
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	t := &table{now: now, contacts: map[string]*world.Contact{}, groups: map[string]*world.Group{}}
	t.Tenant = world.Tenant{ID: derive("csv", name), Name: name, Type: world.TypePractice, Country: "AU", Created: now, NextInt: firstInt}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) && len(t.Clients) == 0 {
			return nil, fmt.Errorf("practice: %s: there is no client below the header", path)
		}
		if errors.Is(err, io.EOF) {
			return &t.Data, nil
		}
		line, _ := in.FieldPos(0)
		if err == nil {
			err = t.add(line, header, row)
		}
		if err != nil {
			return nil, fmt.Errorf("practice: %s line %d: %w", path, line, err)
		}
	}
}

// table is a practice being read from rows.
type table struct {
	Data
	now      time.Time
	contacts map[string]*world.Contact
	groups   map[string]*world.Group
}

func (t *table) add(line int, header, row []string) error {
	cells := map[string]string{}
	for i, column := range header {
		cells[column] = row[i]
	}
	c := &world.Client{UUID: strings.ToLower(cells["uuid"]), ID: t.nextInt(), Tenant: t.Tenant.ID, Name: cells["name"],
		ExportCode: cells["code"], FirstName: cells["first_name"], LastName: cells["last_name"], Email: cells["email"],
		Phone: cells["phone"], Website: cells["website"], Address: cells["address"], City: cells["city"], Region: cells["region"],
		PostCode: cells["postcode"], Country: cells["country"], PostalAddress: cells["postal_address"],
		PostalCity: cells["postal_city"], PostalRegion: cells["postal_region"], PostalPostCode: cells["postal_postcode"],
		PostalCountry: cells["postal_country"], Created: t.now, Modified: t.now,
		Tax: &world.Tax{BusinessStructure: cells["structure"], TaxNumber: cells["tax_number"], AgencyStatus: "Unlinked",
			CompanyNumber: cells["company_number"], BusinessNumber: cells["business_number"]}}
	if c.Name == "" {
		return errors.New("name is empty")
	}
	if c.UUID == "" {
		c.UUID = derive(t.Tenant.ID, strconv.Itoa(line), c.Name)
	}
	if !world.IsID(c.UUID) {
		return fmt.Errorf("uuid %q is not a UUID", c.UUID)
	}
	if born := cells["date_of_birth"]; born != "" {
		if _, err := time.Parse(time.DateOnly, born); err != nil {
			return fmt.Errorf("date_of_birth %q is not of the form yyyy-MM-dd", born)
		}
		c.DateOfBirth = born
	}
	for column, flag := range map[string]*bool{"archived": &c.Archived, "deleted": &c.Deleted} {
		if v := strings.ToLower(cells[column]); v == "yes" {
			*flag = true
		} else if v != "" && v != "no" {
			return fmt.Errorf("%s %q is neither yes nor no", column, cells[column])
		}
	}
	t.join(c, cells["group"])
	if err := t.people(c, cells["contacts"]); err != nil {
		return err
	}
	t.Clients = append(t.Clients, c)
	return nil
}

func (t *table) join(c *world.Client, name string) {
	if name == "" {
		return
	}
	g := t.groups[name]
	if g == nil {
		g = &world.Group{UUID: derive(t.Tenant.ID, "group", name), ID: t.nextInt(), Tenant: t.Tenant.ID, Name: name}
		t.groups[name] = g
		t.Groups = append(t.Groups, g)
	}
	c.Groups = append(c.Groups, g.UUID)
}

func (t *table) people(c *world.Client, list string) error {
	for _, entry := range strings.Split(list, ";") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		name, address := entry, ""
		if strings.HasSuffix(entry, ">") {
			parsed, err := mail.ParseAddress(entry)
			if err != nil {
				return fmt.Errorf("contact %q is not of the form Name <e-mail>", entry)
			}
			name, address = parsed.Name, parsed.Address
		}
		p := t.contacts[name+"\x00"+address]
		if p == nil {
			p = &world.Contact{UUID: derive(t.Tenant.ID, "contact", name, address), ID: t.nextInt(), Tenant: t.Tenant.ID, Name: name, Email: address}
			t.contacts[name+"\x00"+address] = p
			t.Contacts = append(t.Contacts, p)
		}
		if c.Link(p.UUID) < 0 {
			c.Contacts = append(c.Contacts, world.Link{Contact: p.UUID, Primary: len(c.Contacts) == 0})
		}
	}
	return nil
}
