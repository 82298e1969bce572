package accounting

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// opened is the full contact, read to be changed at a desk that answers with it whatever is asked.
func opened(t *testing.T) (provider.Document, *desk) {
	t.Helper()
	d := &desk{answers: func(provider.Request) (string, error) { return doc(full), nil }}
	one, err := Adapter{}.Open(t.Context(), d, anID)
	require.NoError(t, err)
	return one, d
}

func sent(t *testing.T, r provider.Request) map[string]any {
	t.Helper()
	var body struct{ Contacts []map[string]any }
	require.NoError(t, json.Unmarshal(r.Body, &body))
	require.Len(t, body.Contacts, 1)
	return body.Contacts[0]
}

func TestOnlyWhatIsNamedIsSent(t *testing.T) {
	one, d := opened(t)
	_, _, err := one.Update(t.Context(), d, "k", &record.Client{Name: "left", Email: "", Code: "C"}, []string{"code", "email"})
	require.NoError(t, err)
	r := d.calls[1]
	require.Equal(t, "POST Contacts/"+anID, r.Method+" "+r.Path)
	require.True(t, r.Repeatable)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.Equal(t, map[string]any{"ContactID": anID, "AccountNumber": "C", "EmailAddress": ""}, sent(t, r))
	require.Len(t, r.Header.Get("Idempotency-Key"), 64)
}

// TestListsAreSentWhole: what the provider does with numbers and addresses that are left out is nowhere said.
func TestListsAreSentWhole(t *testing.T) {
	one, d := opened(t)
	set := &record.Client{Mobile: "+61 400 9", Postal: record.Address{City: "Perth"}}
	_, _, err := one.Update(t.Context(), d, "k", set, []string{"mobile", "postal_address.city"})
	require.NoError(t, err)
	body := sent(t, d.calls[1])
	phones, addresses := body["Phones"].([]any), body["Addresses"].([]any)
	require.Len(t, phones, 4)
	require.Equal(t, map[string]any{"PhoneType": "DEFAULT", "PhoneNumber": "408-0914", "PhoneAreaCode": "604", "PhoneCountryCode": "1"}, phones[0])
	require.Equal(t, map[string]any{"PhoneType": "MOBILE", "PhoneNumber": "+61 400 9", "PhoneAreaCode": "", "PhoneCountryCode": ""}, phones[2])
	require.Len(t, addresses, 3)
	require.Equal(t, "1 High St", addresses[0].(map[string]any)["AddressLine1"])
	require.Equal(t, "Perth", addresses[1].(map[string]any)["City"])
	require.Equal(t, "Nowhere", addresses[2].(map[string]any)["City"])

	_, _, err = one.Update(t.Context(), d, "k", &record.Client{Postal: record.Address{Street: "a\nb\nc\nd"}}, []string{"postal_address.street"})
	require.NoError(t, err)
	address := sent(t, d.calls[2])["Addresses"].([]any)[1].(map[string]any)
	require.Equal(t, []any{"a", "b", "c", "d", "POBOX"}, []any{address["AddressLine1"], address["AddressLine2"], address["AddressLine3"], address["AddressLine4"], address["AddressType"]})
	require.Empty(t, address["City"], "a change before left no trace in what was read")
	for _, street := range []string{"1\n2\n3\n4\n5", strings.Repeat("x", 501)} {
		_, _, err = one.Update(t.Context(), d, "k", &record.Client{Postal: record.Address{Street: street}}, []string{"postal_address.street"})
		require.ErrorIs(t, err, provider.ErrValues)
	}
	require.Len(t, d.calls, 3, "what can't be is not sent")
}

// TestKeysAreOfTheChange: the same change has the same key, and another one never has.
func TestKeysAreOfTheChange(t *testing.T) {
	one, d := opened(t)
	for _, c := range []struct{ key, code string }{{"k", "A"}, {"k", "A"}, {"k", "B"}, {"l", "A"}} {
		_, _, err := one.Update(t.Context(), d, c.key, &record.Client{Code: c.code}, []string{"code"})
		require.NoError(t, err)
	}
	_, _, err := one.Archive(t.Context(), d, "k")
	require.NoError(t, err)
	keys := map[string]int{}
	for _, r := range d.calls[1:] {
		keys[r.Header.Get("Idempotency-Key")]++
	}
	require.Len(t, keys, 4)
	require.Equal(t, d.calls[1].Header.Get("Idempotency-Key"), d.calls[2].Header.Get("Idempotency-Key"))
	require.Equal(t, map[string]any{"ContactID": anID, "ContactStatus": "ARCHIVED"}, sent(t, d.calls[5]))
}

func TestAnAnswerOfAnotherContact(t *testing.T) {
	one, d := opened(t)
	d.answers = func(provider.Request) (string, error) {
		return doc(strings.ReplaceAll(full, "BD2270C3-8706-4C11-9CFB-000B551C3F51", anotherID)), nil
	}
	_, _, err := one.Archive(t.Context(), d, "k")
	require.ErrorIs(t, err, provider.ErrInvalid)
	_, _, err = Adapter{}.Record(t.Context(), d, anID)
	require.ErrorIs(t, err, provider.ErrInvalid)
}

func TestRefusals(t *testing.T) {
	const parts = `{"ErrorNumber":10,"Type":"ValidationException","Message":"A validation exception occurred","Elements":[{
		"Addresses":[{"AddressType":"POBOX","ValidationErrors":[{"Message":"Country is not one"}]},{"AddressType":"STREET","ValidationErrors":[]}],
		"Phones":[{"PhoneType":"DDI","ValidationErrors":[{"Message":"too long"}]}],
		"ValidationErrors":[{"Message":"The contact name Acme is already assigned to another contact."},{"Message":"Something else"}]}]}`
	for _, body := range []string{parts, strings.NewReplacer("Message", "message", "Elements", "elements", "ValidationErrors", "validationErrors").Replace(parts)} {
		e := Adapter{}.Refusal(http.StatusBadRequest, []byte(body))
		require.Equal(t, provider.ErrValues, e.Kind)
		require.Equal(t, []provider.Value{
			{Path: "name", Text: "The contact name Acme is already assigned to another contact."}, {Text: "Something else"},
			{Path: "postal_address", Text: "Country is not one"}, {Path: "other_phone", Text: "too long"}}, e.Values)
	}
	e := Adapter{}.Refusal(http.StatusBadRequest, []byte(`{"ErrorNumber":16,"Type":"QueryParseException","Message":"`+strings.Repeat("long ", 200)+`"}`))
	require.Equal(t, provider.ErrRefused, e.Kind)
	require.Less(t, len(e.Text), 310)
	require.Nil(t, Adapter{}.Refusal(http.StatusBadRequest, []byte(`{"Title":"Unauthorized"}`)))
	require.Nil(t, Adapter{}.Refusal(http.StatusBadRequest, []byte(`<html>`)))
	require.Equal(t, provider.ErrUnknownRecord, Adapter{}.Refusal(http.StatusNotFound, []byte(`The resource you're looking for cannot be found`)).Kind)
}
