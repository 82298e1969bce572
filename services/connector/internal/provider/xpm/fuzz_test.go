package xpm

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// read takes everything from a document that any answer is read for.
func read(doc []byte, contentType string) (records []record.Record, err error) {
	const limit = 1 << 20
	err = decode(provider.Answer{Body: bytes.NewReader(doc), ContentType: contentType}, limit, func(r *reader, name string) error {
		switch name {
		case "Clients":
			return r.clients(func(c client) error {
				records = append(records, c.record(), c.outline())
				for _, person := range c.contacts {
					records = append(records, person.record([]record.Link{person.link(c.uuid)}))
				}
				return nil
			})
		case "Client":
			c, err := r.client()
			records = append(records, c.record())
			return err
		case "Contacts":
			_, err := r.contacts()
			return err
		case "CustomFields":
			fields, err := r.customFields()
			records = append(records, record.Record{ID: uuid.Nil.String(), Client: &record.Client{CustomFields: fields}})
			return err
		case "CustomFieldDefinitions":
			return r.definitions(&definition{ids: map[string]bool{}})
		}
		_, err := r.turn(name, &turn{})
		return err
	})
	return records, err
}

// wellFormed reports whether encoding/xml alone finds nothing wrong with a document.
func wellFormed(doc []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(doc))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		if _, err := d.Token(); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// FuzzReader reads anything. What is taken is well-formed to another reader, is text, and is the same the second time; what
// is not is an error of the kinds that there are, with words.
func FuzzReader(f *testing.F) {
	f.Add([]byte(whole(`<Clients>`+aClient+`</Clients>`)), xmlType)
	f.Add([]byte(before+old(2)+after), "text/xml")
	f.Add([]byte(whole(`<CustomFields>`+aField+`</CustomFields>`)), "text/xml; charset=windows-1252")
	f.Add([]byte(wide(whole(aClient))), "")
	f.Add([]byte(`<Response><Status>ERROR</Status><ErrorDescription>Invalid client identifier</ErrorDescription></Response>`), xmlType)
	f.Fuzz(func(t *testing.T, doc []byte, contentType string) {
		records, err := read(doc, contentType)
		again, err2 := read(doc, contentType)
		if (err == nil) != (err2 == nil) || len(records) != len(again) {
			t.Fatalf("%v, then %v", err, err2)
		}
		if err != nil {
			known := errors.Is(err, provider.ErrInvalid) || errors.Is(err, provider.ErrRefused) || errors.Is(err, provider.ErrUnknownRecord)
			if !known || provider.Text(err) == "" || !utf8.ValidString(err.Error()) {
				t.Fatalf("an error of no kind: %q", err)
			}
			return
		}
		if contentType == xmlType && !wellFormed(bytes.TrimPrefix(doc, []byte("\xEF\xBB\xBF"))) && !bytes.HasPrefix(doc, []byte("\xFF\xFE")) && !bytes.HasPrefix(doc, []byte("\xFE\xFF")) {
			t.Fatalf("taken, and not well-formed: %q", doc)
		}
		for i, r := range records {
			if r.Hash() != again[i].Hash() {
				t.Fatal("read differently the second time")
			}
			if r.Contact == nil && identifier(r.ID) != r.ID {
				t.Fatalf("%q is no identifier", r.ID)
			}
			if r.Client != nil && (!utf8.ValidString(r.Client.Name) || len(r.Client.Name) > maxValue) {
				t.Fatalf("%q is no name", r.Client.Name)
			}
		}
	})
}
