package practice

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/world"
	"github.com/concord-suite/concord/sim/xmltree"
)

// exchange is one entry of index.json.
type exchange struct {
	Recorded string  `json:"recorded_at"`
	Method   string  `json:"method"`
	URI      string  `json:"uri"`
	Status   int     `json:"status"`
	Request  *string `json:"request_body"`
	Response *string `json:"response_body"`
}

// readRecorded makes a practice from recorded exchanges of the practice API: the clients and
// contacts as the last exchange that shows each of them has them.
func readRecorded(dir string, now time.Time) (*Data, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, fmt.Errorf("practice: a folder of recorded exchanges has an index.json: %w", err)
	}
	var list []exchange
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("practice: %s: %w", filepath.Join(dir, "index.json"), err)
	}
	slices.SortStableFunc(list, func(a, b exchange) int { return a.at().Compare(b.at()) })
	p := &recording{dir: dir, now: now, clients: map[int]*world.Client{}, contacts: map[int]*world.Contact{}, groups: map[int]*world.Group{}}
	p.Tenant = world.Tenant{ID: derive("recorded", filepath.Base(dir)), Name: "Recorded practice", Type: world.TypePractice,
		Country: "AU", Created: now, NextInt: 3 * firstInt} // above every recorded id
	for _, e := range list {
		if err := p.replay(e); err != nil {
			return nil, fmt.Errorf("practice: %s %s: %w", e.Method, e.URI, err)
		}
	}
	if len(p.clients) == 0 {
		return nil, fmt.Errorf("practice: no exchange in %s shows a client", dir)
	}
	return &p.Data, nil
}

func (e exchange) at() time.Time {
	at, err := time.Parse(time.RFC1123, e.Recorded)
	if err != nil {
		return time.Time{} // without a date it counts as the oldest
	}
	return at
}

// recording is a practice being put together from exchanges.
type recording struct {
	Data
	dir      string
	now      time.Time
	clients  map[int]*world.Client
	contacts map[int]*world.Contact
	groups   map[int]*world.Group
}

func (p *recording) replay(e exchange) error {
	if e.Status != 200 || e.Response == nil || !strings.HasSuffix(*e.Response, ".xml") {
		return nil
	}
	root, err := p.body(*e.Response)
	if err != nil {
		return err
	}
	if status, _ := root.Value("Status"); status != "OK" {
		return nil
	}
	seen := e.at()
	if seen.IsZero() {
		seen = p.now
	}
	for _, holder := range []*xmltree.Node{root, root.Child("Clients")} {
		for i := range children(holder) {
			if n := &holder.Children[i]; n.XMLName.Local == "Client" {
				if err := p.client(n, seen); err != nil {
					return err
				}
			}
		}
	}
	if n := root.Child("Contact"); n != nil {
		return p.contactExchange(e, n)
	}
	return nil
}

func children(n *xmltree.Node) []xmltree.Node {
	if n == nil {
		return nil
	}
	return n.Children
}

func (p *recording) body(name string) (*xmltree.Node, error) {
	if filepath.Base(name) != name {
		return nil, fmt.Errorf("body %q is not a plain file name", name)
	}
	raw, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		return nil, err
	}
	return xmltree.Parse(raw)
}

func (p *recording) client(n *xmltree.Node, seen time.Time) error {
	id, err := number(n)
	if err != nil {
		return err
	}
	c := p.clients[id]
	if c == nil {
		uuid, _ := n.Value("UUID")
		if !world.IsID(uuid) {
			return fmt.Errorf("client %d has no UUID", id)
		}
		c = &world.Client{UUID: strings.ToLower(uuid), ID: id, Tenant: p.Tenant.ID, Created: seen}
		p.clients[id] = c
		p.Clients = append(p.Clients, c)
	}
	c.Modified = seen
	for element, target := range c.Texts() {
		*target = n.Raw(element)
	}
	c.Prospect, c.Archived, c.Deleted = yes(n, "IsProspect"), yes(n, "IsArchived"), yes(n, "IsDeleted")
	c.Tax = nil
	if n.Child("AgencyStatus") != nil {
		c.Tax = &world.Tax{}
		for element, target := range c.Tax.Texts() {
			*target = n.Raw(element)
		}
		for element, target := range c.Tax.Flags() {
			*target = yes(n, element)
		}
	}
	if err := p.people(c, n.Child("Contacts")); err != nil {
		return err
	}
	return p.join(c, n.Child("Groups"))
}

func (p *recording) people(c *world.Client, list *xmltree.Node) error {
	if list == nil {
		return nil
	}
	c.Contacts = nil
	for i := range list.Children {
		n := &list.Children[i]
		contact, err := p.contact(n)
		if err != nil {
			return err
		}
		c.Contacts = append(c.Contacts, world.Link{Contact: contact.UUID, Primary: yes(n, "IsPrimary"), Position: n.Raw("Position")})
	}
	return nil
}

// contact finds or makes a contact. The recorded answers know contacts by number alone, so the UUID
// is derived from it.
func (p *recording) contact(n *xmltree.Node) (*world.Contact, error) {
	id, err := number(n)
	if err != nil {
		return nil, err
	}
	c := p.contacts[id]
	if c == nil {
		c = &world.Contact{UUID: derive(p.Tenant.ID, "contact", strconv.Itoa(id)), ID: id, Tenant: p.Tenant.ID}
		p.contacts[id] = c
		p.Contacts = append(p.Contacts, c)
	}
	for element, target := range c.Texts() {
		*target = n.Raw(element)
	}
	return c, nil
}

func (p *recording) join(c *world.Client, list *xmltree.Node) error {
	if list == nil {
		return nil // a listing without detail says nothing about groups
	}
	c.Groups = nil
	for i := range list.Children {
		id, err := number(&list.Children[i])
		if err != nil {
			return err
		}
		g := p.groups[id]
		if g == nil {
			g = &world.Group{UUID: derive(p.Tenant.ID, "group", strconv.Itoa(id)), ID: id, Tenant: p.Tenant.ID}
			p.groups[id] = g
			p.Groups = append(p.Groups, g)
		}
		g.Name = list.Children[i].Raw("Name")
		c.Groups = append(c.Groups, g.UUID)
	}
	return nil
}

// contactExchange follows a contact that was added to a client, changed or deleted.
func (p *recording) contactExchange(e exchange, n *xmltree.Node) error {
	contact, err := p.contact(n)
	if err != nil {
		return err
	}
	contact.Deleted = e.Method == "DELETE"
	u, err := url.Parse(e.URI)
	if err != nil || e.Method != "POST" || !strings.HasSuffix(u.Path, "/contact") || e.Request == nil {
		return err
	}
	request, err := p.body(*e.Request)
	if err != nil {
		return err
	}
	id, err := number(request.Child("Client"))
	if err != nil {
		return err
	}
	if c := p.clients[id]; c != nil && c.Link(contact.UUID) < 0 {
		c.Contacts = append(c.Contacts, world.Link{Contact: contact.UUID, Primary: yes(n, "IsPrimary"), Position: n.Raw("Position")})
	}
	return nil
}

func number(n *xmltree.Node) (int, error) {
	text, ok := n.Value("ID")
	if !ok {
		return 0, errors.New("a record has no ID")
	}
	id, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("ID %q is not a number", text)
	}
	return id, nil
}

func yes(n *xmltree.Node, name string) bool {
	v, _ := n.Value(name)
	return strings.EqualFold(v, "yes")
}
