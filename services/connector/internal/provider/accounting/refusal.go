package accounting

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

// refused is the API's error document. Its keys come in two spellings from its gateways; encoding/json reads both.
type refused struct {
	Message  string
	Elements []refusedContact
}

type refusedContact struct {
	ValidationErrors []said
	Addresses        []refusedPart
	Phones           []refusedPart
	ContactPersons   []refusedPart
}

type refusedPart struct {
	AddressType, PhoneType string
	ValidationErrors       []said
}

type said struct{ Message string }

// Refusal reads an error answer of the API: which values it refuses and why, or in one sentence what it refuses at all.
func (Adapter) Refusal(status int, body []byte) *provider.Error {
	var doc refused
	err := json.Unmarshal(body, &doc)
	switch {
	case status == http.StatusNotFound:
		return provider.Errorf(provider.ErrUnknownRecord, "the provider knows no such contact")
	case err != nil:
		return nil
	}
	if values := doc.values(); len(values) > 0 {
		return &provider.Error{Kind: provider.ErrValues, Text: values[0].Text, Values: values}
	}
	if doc.Message != "" {
		return provider.Errorf(provider.ErrRefused, "%s", shorten(doc.Message))
	}
	return nil
}

// values returns what was refused, part by part. A part says by itself what it is; of the contact's own the words tell.
func (d refused) values() (all []provider.Value) {
	for _, c := range d.Elements {
		all = add(all, "", c.ValidationErrors)
		for _, a := range c.Addresses {
			all = add(all, addressPath(a.AddressType), a.ValidationErrors)
		}
		for _, p := range c.Phones {
			all = add(all, phonePath(p.PhoneType), p.ValidationErrors)
		}
		for _, p := range c.ContactPersons {
			all = add(all, "", p.ValidationErrors)
		}
	}
	return all
}

func add(all []provider.Value, path string, errs []said) []provider.Value {
	for _, e := range errs {
		at := path
		if at == "" {
			at = provider.Blame(e.Message)
		}
		all = append(all, provider.Value{Path: at, Text: shorten(e.Message)})
	}
	return all
}

func addressPath(kind string) string {
	switch strings.ToUpper(kind) {
	case postBox:
		return "postal_address"
	case street:
		return "physical_address"
	}
	return ""
}

func phonePath(kind string) string {
	switch strings.ToUpper(kind) {
	case mainPhone:
		return "phone"
	case direct:
		return "other_phone"
	case cellular:
		return "mobile"
	}
	return ""
}

// maxWords bounds what is repeated of the provider's words.
const maxWords = 300

func shorten(words string) string {
	words = strings.Join(strings.Fields(words), " ")
	if runes := []rune(words); len(runes) > maxWords {
		return string(runes[:maxWords]) + "…"
	}
	return words
}
