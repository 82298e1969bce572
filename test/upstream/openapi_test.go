//go:build interop

package upstream_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// official is the provider's own OpenAPI document. It gives texts for the defaults of booleans ("false"),
// which no validator lets pass: that is mended when it is read.
type official struct {
	t   *testing.T
	doc *openapi3.T
	// unknown are members the answers have and the document does not, by the schema they were met in.
	unknown map[string]bool
	checked map[string]bool // operations and statuses
}

func read(t *testing.T) *official {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(provider(t, "openapi", "xero", "xero_accounting.yaml"))
	require.NoError(t, err)
	for _, name := range []string{"HasAttachments", "HasValidationErrors"} {
		doc.Components.Schemas["Contact"].Value.Properties[name].Value.Default = false
	}
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC4122))
	return &official{t: t, doc: doc, unknown: map[string]bool{}, checked: map[string]bool{}}
}

// envelope is an answer, as far as it says what to ask next.
type envelope struct {
	Contacts      []struct{ ContactID, ContactNumber, Name string }
	ContactGroups []struct{ ContactGroupID string }
	Elements      []struct{ ContactID string }
}

// exchange sends a request and checks it and the answer: the path is the document's, with its parameters
// replaced by ids in their order.
func (o *official) exchange(b books, method, path, query, body string, ids []string, headers ...string) envelope {
	o.t.Helper()
	item := o.doc.Paths.Find(path)
	if item == nil || item.GetOperation(method) == nil {
		o.t.Fatalf("the document has no %s %s", method, path)
	}
	params := map[string]string{}
	filled := path
	for _, id := range ids {
		from, to := strings.Index(filled, "{"), strings.Index(filled, "}")
		params[filled[from+1:to]] = id
		filled = filled[:from] + id + filled[to+1:]
	}
	req := b.request(o.t, method, filled+query, body, headers...)
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params,
		Route:   &routers.Route{Spec: o.doc, Path: path, PathItem: item, Method: method, Operation: item.GetOperation(method)},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true}}
	if err := openapi3filter.ValidateRequest(req.Context(), input); err != nil {
		o.t.Errorf("%s %s%s: the request: %v", method, path, query, err)
	}
	req.Body = io.NopCloser(strings.NewReader(body))
	res, raw := send(o.t, req)
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: res.StatusCode, Header: res.Header,
		Body: io.NopCloser(bytes.NewReader(raw)), Options: input.Options}
	if err := openapi3filter.ValidateResponse(req.Context(), answer); err != nil {
		o.t.Errorf("%s %s%s: %s: %v\n%.600s", method, path, query, res.Status, err, raw)
	}
	o.checked[fmt.Sprintf("%s %s %d", method, path, res.StatusCode)] = true
	var e envelope
	var all any
	if len(raw) > 0 {
		require.NoError(o.t, json.Unmarshal(raw, &e))
		require.NoError(o.t, json.Unmarshal(raw, &all))
		response := item.GetOperation(method).Responses.Status(res.StatusCode)
		o.compare(response.Value.Content["application/json"].Schema, all)
	}
	return e
}

// compare notes the members of a value that its schema does not name.
func (o *official) compare(schema *openapi3.SchemaRef, value any) {
	switch v := value.(type) {
	case map[string]any:
		if strings.HasSuffix(schema.Ref, "/Element") { // of whatever kind the request had; the document names ids alone
			schema = o.element(v)
		}
		for name, member := range v {
			known := schema.Value.Properties[name]
			if known == nil {
				at := schema.Ref[strings.LastIndex(schema.Ref, "/")+1:]
				o.unknown[at+"."+name] = true
				continue
			}
			o.compare(known, member)
		}
	case []any:
		for _, member := range v {
			o.compare(schema.Value.Items, member)
		}
	}
}

// element returns the schema of what an error is about, once the element has proven valid by it.
func (o *official) element(v map[string]any) *openapi3.SchemaRef {
	kind := "Contact"
	if v["ContactGroupID"] != nil {
		kind = "ContactGroup"
	}
	schema := &openapi3.SchemaRef{Ref: "#/components/schemas/" + kind, Value: o.doc.Components.Schemas[kind].Value}
	if err := schema.Value.VisitJSON(v); err != nil {
		o.t.Errorf("an element of an error is no %s: %v", kind, err)
	}
	return schema
}

// looser is what the document does not name although its own examples of answers have it. Nothing else
// may be in an answer.
var looser = []string{
	"Contacts.Id", "Contacts.Status", "Contacts.ProviderName", "Contacts.DateTimeUTC",
	"ContactGroups.Id", "ContactGroups.Status", "ContactGroups.ProviderName", "ContactGroups.DateTimeUTC",
	"Organisations.Id", "Organisations.Status", "Organisations.ProviderName", "Organisations.DateTimeUTC",
	"ContactGroup.HasValidationErrors", "ContactGroup.ValidationErrors",
}

// TestInteropAnswersAreValidByTheOfficialDocument works through every operation the simulator has and holds
// requests and answers against the provider's document.
func TestInteropAnswersAreValidByTheOfficialDocument(t *testing.T) {
	o := read(t)
	b := organisation(t)
	get := func(path, query string, ids ...string) envelope {
		return o.exchange(b, http.MethodGet, path, query, "", ids)
	}
	put := func(method, path, query, body string, ids ...string) envelope {
		return o.exchange(b, method, path, query, body, ids, "Idempotency-Key", uuid.NewString())
	}
	for _, query := range []string{"", "?page=1", "?page=2&pageSize=100", "?page=1&pageSize=1000&includeArchived=true", "?summaryOnly=true", "?summaryOnly=true&page=1",
		"?searchTerm=a", "?order=Name+DESC&page=9", "?where=" + url.QueryEscape("IsCustomer==true AND EmailAddress!=null")} {
		get("/Contacts", query)
	}
	o.exchange(b, http.MethodGet, "/Contacts", "?page=1", "", nil, "If-Modified-Since", "2020-02-06T12:17:43.202-08:00")
	all := get("/Contacts", "?page=1&pageSize=1000").Contacts
	get("/Contacts", "?IDs="+all[0].ContactID+","+all[1].ContactID)
	get("/Contacts/{ContactID}", "", all[0].ContactID)
	numbered := all[slices.IndexFunc(all, func(c struct{ ContactID, ContactNumber, Name string }) bool { return c.ContactNumber != "" })]
	get("/Contacts/{ContactNumber}", "", numbered.ContactNumber)

	whole := `{"Name":"Kea","ContactNumber":"K","AccountNumber":"K1","FirstName":"A","LastName":"B","CompanyNumber":"1","EmailAddress":"kea@example.com","BankAccountDetails":"1",
		"TaxNumber":"1","DefaultCurrency":"AUD","ContactPersons":[{"FirstName":"A","LastName":"B","EmailAddress":"a@example.com","IncludeInEmails":true}],
		"Addresses":[{"AddressType":"STREET","AddressLine1":"1","AddressLine2":"2","AddressLine3":"3","AddressLine4":"4","City":"C","Region":"R","PostalCode":"1","Country":"Australia","AttentionTo":"A"}],
		"Phones":[{"PhoneType":"OFFICE","PhoneNumber":"1","PhoneAreaCode":"2","PhoneCountryCode":"3"}]}`
	made := put(http.MethodPut, "/Contacts", "", `{"Contacts":[`+whole+`]}`).Contacts[0].ContactID
	get("/Contacts/{ContactID}", "", made)
	taken := fmt.Sprintf(`{"Contacts":[{"Name":%q}]}`, all[0].Name)
	put(http.MethodPut, "/Contacts", "", taken)
	put(http.MethodPost, "/Contacts", "", taken)
	put(http.MethodPost, "/Contacts", "?summarizeErrors=false", `{"Contacts":[{"Name":"Weka"},{"Name":"weka"}]}`)
	put(http.MethodPost, "/Contacts/{ContactID}", "", `{"Contacts":[{"ContactStatus":"ARCHIVED"}]}`, made)
	put(http.MethodPost, "/Contacts/{ContactID}", "", `{"Contacts":[{"EmailAddress":"nobody"}]}`, made)

	group := get("/ContactGroups", "").ContactGroups[0].ContactGroupID
	get("/ContactGroups", "?order=Name+DESC")
	get("/ContactGroups/{ContactGroupID}", "", group)
	put(http.MethodPut, "/ContactGroups", "", `{"ContactGroups":[{"Name":"VIPs"}]}`)
	put(http.MethodPut, "/ContactGroups", "", `{"ContactGroups":[{"Name":"vips"}]}`)
	put(http.MethodPost, "/ContactGroups/{ContactGroupID}", "", `{"ContactGroups":[{"Name":"Renamed"}]}`, group)
	put(http.MethodPost, "/ContactGroups/{ContactGroupID}", "", `{"ContactGroups":[{"Name":"vips"}]}`, group)
	put(http.MethodPut, "/ContactGroups/{ContactGroupID}/Contacts", "", `{"Contacts":[{"ContactID":"`+all[0].ContactID+`"}]}`, group)
	put(http.MethodPut, "/ContactGroups/{ContactGroupID}/Contacts", "", `{"Contacts":[{"ContactID":"`+made+`"}]}`, group)
	o.exchange(b, http.MethodDelete, "/ContactGroups/{ContactGroupID}/Contacts/{ContactID}", "", "", []string{group, all[0].ContactID})
	o.exchange(b, http.MethodDelete, "/ContactGroups/{ContactGroupID}/Contacts", "", "", []string{group})
	get("/Organisation", "")

	slices.Sort(looser)
	if got := slices.Sorted(maps.Keys(o.unknown)); !slices.Equal(got, looser) {
		t.Errorf("members the document does not name:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(looser, "\n"))
	}
	t.Logf("%d operations and statuses are valid by the document", len(o.checked))
}

// TestInteropPublishedContactsHaveTheSimulatedShape decodes the provider's published examples as the simulator's
// answers are, and expects every member the examples of contacts have to be in an answer or told here.
func TestInteropPublishedContactsHaveTheSimulatedShape(t *testing.T) {
	// Accounts, taxes, themes and attachments are no part of what is simulated.
	left := []string{"AccountsReceivableTaxType", "AccountsPayableTaxType", "BatchPayments", "BrandingTheme", "Discount", "PaymentTerms", "Attachments",
		"PurchasesDefaultAccountCode", "SalesDefaultAccountCode", "SalesTrackingCategories", "PurchasesTrackingCategories", "TaxNumbeType"}
	b := organisation(t)
	seen := map[string]bool{}
	_, raw := send(t, b.request(t, http.MethodGet, "/Contacts?page=1&pageSize=1000", ""))
	_, wrong := send(t, b.request(t, http.MethodPut, "/Contacts", `{"Name":" ","AccountNumber":"A"}`))
	note := func(raw []byte) {
		var e struct{ Contacts, Elements []map[string]json.RawMessage }
		require.NoError(t, json.Unmarshal(raw, &e))
		for _, c := range append(e.Contacts, e.Elements...) {
			for name := range c {
				seen[name] = true
			}
		}
	}
	note(raw)
	note(wrong)
	for _, name := range []string{"getContacts.200.response", "getContact.200.response", "createContacts.200.response", "updateContact.200.response", "createContacts.400.response",
		"createContactGroupContacts.200.response", "updateOrCreateContacts.200.response"} {
		published, err := os.ReadFile(provider(t, "fixtures", "xero-accounting", name+".json"))
		require.NoError(t, err)
		var e envelope
		if err := json.Unmarshal(published, &e); err != nil || len(e.Contacts)+len(e.Elements) == 0 {
			t.Errorf("%s: %v", name, err)
		}
		var each struct{ Contacts, Elements []map[string]json.RawMessage }
		require.NoError(t, json.Unmarshal(published, &each))
		for _, c := range append(each.Contacts, each.Elements...) {
			for member := range c {
				if !seen[member] && !slices.Contains(left, member) {
					t.Errorf("%s has %s, no simulated answer does", name, member)
				}
			}
		}
	}
}
