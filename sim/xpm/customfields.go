package xpm

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/concord-suite/concord/sim/faults"
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
	fields := faults.Rows(c.fault, s.definitions(c))
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
	w.text("LinkUrl", f.Link)
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
	fields := keep(faults.Rows(c.fault, s.definitions(c)), func(f *world.FieldDefinition) bool { return values[f.UUID] != "" })
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
		case !field.Takes(v):
			return fail("Invalid value for " + field.Name)
		default:
			values[field.UUID] = v
		}
	}
	return nil
}

// fieldTypes are the types the provider documents.
var fieldTypes = []string{"Text", "Multi-line Text", "Date", "Number", "Decimal", "Link", "Checkbox", "Dropdown List", "Value Link"}

func (s *Service) addField(c *call) (content, error) {
	kind, _ := c.body.Value("Type")
	if !slices.Contains(fieldTypes, kind) {
		return nil, fail("Invalid custom field type")
	}
	return s.saveField(c, func(*world.Tx) (*world.FieldDefinition, error) {
		return &world.FieldDefinition{UUID: world.NewID(), Tenant: c.tenant, Type: kind}, nil
	})
}

// updateField changes a definition; its type stays what it is.
func (s *Service) updateField(c *call) (content, error) {
	return s.saveField(c, func(tx *world.Tx) (*world.FieldDefinition, error) {
		old := c.field(tx.State)
		if old == nil {
			return nil, errField
		}
		f := *old
		return &f, nil
	})
}

func (c *call) field(st *world.State) *world.FieldDefinition {
	f := st.Fields.Get(strings.ToLower(identifier(c.body)))
	if f == nil || f.Tenant != c.tenant {
		return nil
	}
	return f
}

// saveField writes a message over the definition that begin gives.
func (s *Service) saveField(c *call, begin func(*world.Tx) (*world.FieldDefinition, error)) (content, error) {
	var f *world.FieldDefinition
	err := s.store.Update(func(tx *world.Tx) error {
		var err error
		if f, err = begin(tx); err != nil {
			return err
		}
		for element, target := range map[string]*string{"Name": &f.Name, "Options": &f.Options, "LinkUrl": &f.Link} {
			if v, ok := c.body.Value(element); ok {
				*target = v
			}
		}
		for element, target := range map[string]*bool{"UseClient": &f.UseClient, "UseContact": &f.UseContact} {
			if v, ok := c.body.Value(element); ok {
				*target = strings.EqualFold(v, "true")
			}
		}
		if f.Name == "" {
			return fail("The custom field name is required")
		}
		tx.Fields.Put(tx, f.UUID, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func(w *writer) { w.definition(f) }, nil
}

// deleteField takes a definition away, and with it the values of all clients and contacts.
func (s *Service) deleteField(c *call) (content, error) {
	return nil, s.store.Update(func(tx *world.Tx) error {
		f := c.field(tx.State)
		if f == nil {
			return errField
		}
		for _, cl := range tx.Clients.All() {
			if _, there := cl.Fields[f.UUID]; there {
				n := cl.Clone()
				delete(n.Fields, f.UUID)
				tx.Clients.Put(tx, n.UUID, n)
			}
		}
		for _, p := range tx.Contacts.All() {
			if _, there := p.Fields[f.UUID]; there {
				n := *p
				n.Fields = maps.Clone(p.Fields)
				delete(n.Fields, f.UUID)
				tx.Contacts.Put(tx, n.UUID, &n)
			}
		}
		tx.Fields.Delete(tx, f.UUID)
		return nil
	})
}
