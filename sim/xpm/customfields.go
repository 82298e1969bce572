package xpm

import (
	"slices"
	"strconv"
	"strings"

	"github.com/concord-suite/concord/sim/world"
)

func (s *Service) definitions(c *call) []*world.FieldDefinition {
	var fields []*world.FieldDefinition
	s.store.View(func(st *world.State) {
		for _, f := range st.Fields.All() {
			if f.Tenant == c.tenant {
				fields = append(fields, f)
			}
		}
	})
	slices.SortFunc(fields, func(a, b *world.FieldDefinition) int { return strings.Compare(a.Name+a.UUID, b.Name+b.UUID) })
	return fields
}

func (s *Service) listFields(c *call) (content, error) {
	fields := s.definitions(c)
	return func(w *writer) {
		w.list("CustomFieldDefinitions", len(fields), func(i int) { w.definition(fields[i]) })
	}, nil
}

func (s *Service) getField(c *call) (content, error) {
	fields := s.definitions(c)
	at := slices.IndexFunc(fields, func(f *world.FieldDefinition) bool { return strings.EqualFold(f.UUID, c.PathValue("id")) })
	if at < 0 {
		return nil, errField
	}
	return func(w *writer) { w.definition(fields[at]) }, nil
}

func (w *writer) definition(f *world.FieldDefinition) {
	w.open("CustomFieldDefinition")
	w.text("UUID", f.UUID)
	w.text("Name", f.Name)
	w.text("Type", f.Type)
	w.text("LinkUrl", "")
	w.text("Options", f.Options)
	w.text("UseClient", strconv.FormatBool(f.UseClient))
	w.text("UseContact", strconv.FormatBool(f.UseContact))
	for _, use := range []string{"UseJob", "UseJobTask", "UseJobCost", "UseJobTime"} {
		w.text(use, "false")
	}
	w.text("ValueElement", f.ValueElement())
	w.close("CustomFieldDefinition")
}

// values writes the fields that have a value; one without is left out.
func (s *Service) values(c *call, values map[string]string) content {
	fields := keep(s.definitions(c), func(f *world.FieldDefinition) bool { return values[f.UUID] != "" })
	return func(w *writer) {
		w.list("CustomFields", len(fields), func(i int) {
			f := fields[i]
			w.open("CustomField")
			w.text("UUID", f.UUID)
			w.text("Name", f.Name)
			w.text(f.ValueElement(), values[f.UUID])
			w.close("CustomField")
		})
	}
}

func (s *Service) clientFields(c *call) (content, error) {
	var found *world.Client
	s.store.View(func(st *world.State) { found = c.client(st, c.PathValue("id")) })
	if found == nil {
		return nil, errClient
	}
	return s.values(c, found.Fields), nil
}

func (s *Service) contactFields(c *call) (content, error) {
	var found *world.Contact
	s.store.View(func(st *world.State) { found = c.contact(st, c.PathValue("id")) })
	if found == nil {
		return nil, errContact
	}
	return s.values(c, found.Fields), nil
}

func (s *Service) setClientFields(c *call) (content, error) {
	_, err := s.change(c, c.PathValue("id"), func(tx *world.Tx, cl *world.Client) error {
		return c.setFields(tx, cl.Fields, func(f *world.FieldDefinition) bool { return f.UseClient })
	})
	return nil, err
}

func (s *Service) setContactFields(c *call) (content, error) {
	return nil, s.store.Update(func(tx *world.Tx) error {
		old := c.contact(tx.State, c.PathValue("id"))
		if old == nil {
			return errContact
		}
		changed := *old
		changed.Fields = map[string]string{}
		for id, v := range old.Fields {
			changed.Fields[id] = v
		}
		err := c.setFields(tx, changed.Fields, func(f *world.FieldDefinition) bool { return f.UseContact })
		tx.Contacts.Put(tx, changed.UUID, &changed)
		return err
	})
}

// setFields writes the values of a message; an empty one clears the field.
func (c *call) setFields(tx *world.Tx, values map[string]string, used func(*world.FieldDefinition) bool) error {
	for i := range c.body.Children {
		n := &c.body.Children[i]
		field := tx.Fields.Get(strings.ToLower(identifier(n)))
		if field == nil || field.Tenant != c.tenant || !used(field) {
			return errField
		}
		v, ok := n.Value(field.ValueElement())
		switch {
		case !ok:
			return fail("The element " + field.ValueElement() + " is required for " + field.Name)
		case v == "":
			delete(values, field.UUID)
		default:
			values[field.UUID] = v
		}
	}
	return nil
}
