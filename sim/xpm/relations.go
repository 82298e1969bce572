package xpm

import (
	"errors"
	"slices"
	"strings"

	"github.com/concord-suite/concord/sim/world"
	"github.com/concord-suite/concord/sim/xmltree"
)

// relationshipTypes are the types the provider documents.
var relationshipTypes = []string{
	"Director", "Shareholder", "Trustee", "Beneficiary", "Partner", "Settlor", "Associate", "Secretary",
	"Public Officer", "Husband", "Wife", "Spouse", "Parent Of", "Child Of", "Appointer", "Member", "Auditor", "Owner",
}

func (s *Service) addRelationship(c *call) (content, error) {
	id, _ := c.body.Value("ClientUUID")
	var rel world.Relationship
	return s.relate(c, id, &rel, func(tx *world.Tx, cl *world.Client) error {
		other, _ := c.body.Value("RelatedClientUUID")
		related := c.client(tx.State, other)
		kind, _ := c.body.Value("Type")
		switch {
		case related == nil || related.Deleted:
			return fail("Invalid related client identifier")
		case !slices.Contains(relationshipTypes, kind):
			return fail("Invalid relationship type")
		}
		rel = world.Relationship{UUID: world.NewID(), Type: kind, Related: related.UUID}
		if err := applyRelationship(&rel, c.body); err != nil {
			return err
		}
		cl.Relationships = append(cl.Relationships, rel)
		return nil
	})
}

func (s *Service) updateRelationship(c *call) (content, error) {
	var rel world.Relationship
	return s.relate(c, s.ownerOf(c), &rel, func(_ *world.Tx, cl *world.Client) error {
		at := relationship(cl, identifier(c.body))
		if err := applyRelationship(&cl.Relationships[at], c.body); err != nil {
			return err
		}
		rel = cl.Relationships[at]
		return nil
	})
}

func (s *Service) deleteRelationship(c *call) (content, error) {
	var rel world.Relationship
	return s.relate(c, s.ownerOf(c), &rel, func(_ *world.Tx, cl *world.Client) error {
		at := relationship(cl, identifier(c.body))
		rel = cl.Relationships[at]
		cl.Relationships = slices.Delete(cl.Relationships, at, at+1)
		return nil
	})
}

// ownerOf returns the client that has the relationship a message names, or "".
func (s *Service) ownerOf(c *call) (id string) {
	s.store.View(func(st *world.State) {
		for _, cl := range st.Clients.All() {
			if cl.Tenant == c.tenant && !cl.Deleted && relationship(cl, identifier(c.body)) >= 0 {
				id = cl.UUID
			}
		}
	})
	return id
}

func relationship(cl *world.Client, id string) int {
	return slices.IndexFunc(cl.Relationships, func(r world.Relationship) bool { return id != "" && strings.EqualFold(r.UUID, id) })
}

// relate changes the relationships of a client and answers with the one concerned.
func (s *Service) relate(c *call, id string, rel *world.Relationship, f func(*world.Tx, *world.Client) error) (content, error) {
	var cl *world.Client
	_, err := s.change(c, id, func(tx *world.Tx, changed *world.Client) error {
		cl = changed
		if identifier(c.body) != "" && relationship(cl, identifier(c.body)) < 0 {
			return fail("Invalid relationship identifier")
		}
		return f(tx, changed)
	})
	if errors.Is(err, errClient) && identifier(c.body) != "" {
		err = fail("Invalid relationship identifier")
	}
	if err != nil {
		return nil, err
	}
	r := s.gather(c.tenant, []*world.Client{cl}, detail{})
	s.store.View(func(st *world.State) {
		if other := st.Clients.Get(rel.Related); other != nil {
			r.names[other.UUID] = other.Name
		}
		r.names[cl.UUID] = cl.Name
	})
	return func(w *writer) {
		w.open("ClientRelationship")
		w.text("UUID", rel.UUID)
		w.named("Client", cl.UUID, r)
		w.named("RelatedClient", rel.Related, r)
		w.open("RelationshipType")
		w.text("Name", rel.Type)
		w.close("RelationshipType")
		w.optional("NumberOfShares", rel.Shares)
		w.optional("Percentage", rel.Percentage)
		w.optional("StartDate", rel.Start)
		w.optional("EndDate", rel.End)
		w.close("ClientRelationship")
	}, nil
}

func applyRelationship(rel *world.Relationship, n *xmltree.Node) error {
	if v, ok := n.Value("NumberOfShares"); ok {
		rel.Shares = v
	}
	if v, ok := n.Value("Percentage"); ok {
		rel.Percentage = v
	}
	for element, target := range map[string]*string{"StartDate": &rel.Start, "EndDate": &rel.End} {
		v, ok := n.Value(element)
		if !ok {
			continue
		}
		date, err := parseDate(v)
		if err != nil {
			return err
		}
		*target = date
	}
	return nil
}
