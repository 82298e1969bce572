package xpm

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

func TestTypedValues(t *testing.T) {
	type in struct{ element, text string }
	for value, want := range map[in]string{
		{"Date", "2026-03-02"}: "2026-03-02", {"Date", "2026-03-02T00:00:00"}: "2026-03-02", {"Date", "20260302"}: "2026-03-02",
		{"Date", "0001-01-01T00:00:00"}: "0001-01-01",
		{"Boolean", "true"}:             "true", {"Boolean", "True"}: "true", {"Boolean", "No"}: "false", {"Boolean", ""}: "",
		{"Decimal", "12.50"}: "12.50", {"Decimal", "-1,234.5"}: "-1234.5", {"Decimal", "+7"}: "7", {"Number", "1,234,567"}: "1234567",
		{"Number", "0042"}: "0042",
	} {
		got, ok := typed(value.element, value.text)
		require.True(t, ok, value)
		require.Equal(t, want, got, value)
	}
	for _, value := range []in{{"Date", "soon"}, {"Date", "2026-02-30"}, {"Boolean", "1"}, {"Decimal", "12,5"}, {"Decimal", "1.2.3"},
		{"Decimal", "--1"}, {"Decimal", "+-1"}, {"Decimal", "."}, {"Decimal", "1."}, {"Decimal", ".5"}, {"Decimal", "1e3"}, {"Number", ",123"}, {"Number", "0x10"}} {
		_, ok := typed(value.element, value.text)
		require.False(t, ok, value)
	}
}

func TestRelationships(t *testing.T) {
	c := one(t, `<Relationships><Relationship><UUID>x</UUID><Type>Shareholder</Type><RelatedClient><UUID>0B63AB7C-0000-4000-8000-0000000000B1</UUID>
		<Name>Río
		Pty</Name></RelatedClient><NumberOfShares>1,000</NumberOfShares><Percentage>12.5</Percentage><StartDate>2020-01-31T00:00:00</StartDate>
		<EndDate>0001-01-01T00:00:00</EndDate></Relationship><Relationship><Type>Spouse</Type><RelatedClient><ID>7</ID><Name>B</Name></RelatedClient>
		<NumberOfShares/><Percentage>half</Percentage></Relationship><Other/></Relationships>`)
	require.True(t, c.fields.RelationshipsRead)
	require.Equal(t, []record.Relationship{
		{Type: "Shareholder", Related: "0b63ab7c-0000-4000-8000-0000000000b1", RelatedName: "Río Pty", Shares: "1000", Percentage: "12.5", Start: "2020-01-31"},
		{Type: "Spouse", RelatedName: "B", Percentage: "half"},
	}, c.fields.Relationships)
	require.True(t, one(t, `<Relationships/>`).fields.RelationshipsRead, "an empty list says that there are none")
	require.False(t, one(t, `<Name>A</Name>`).fields.RelationshipsRead)
}

// practice answers one client, its fields and their definitions, and counts.
type practice struct {
	values, definitions string
	asked               map[string]int
}

func (p *practice) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	doc, what := `<Client><UUID>`+anID+`</UUID><Name>A</Name><Groups><Group><Name>G</Name></Group></Groups></Client>`, "client"
	switch {
	case strings.HasSuffix(r.URL.Path, "/customfield"):
		doc, what = `<CustomFields>`+p.values+`</CustomFields>`, "values"
	case strings.HasSuffix(r.URL.Path, "customfield.api/definition"):
		doc, what = `<CustomFieldDefinitions>`+p.definitions+`</CustomFieldDefinitions>`, "definitions"
	}
	p.asked[what]++
	body(`<Response><Status>OK</Status>`+doc+`</Response>`, "text/xml; charset=utf-8")(w, r)
}

func defined(n int, name, element, forClients string) string {
	return fmt.Sprintf(`<CustomFieldDefinition><UUID>%s</UUID><Name>%s</Name><Type>x</Type><LinkUrl/><Options/><UseClient>%s</UseClient>`+
		`<UseContact>true</UseContact><ValueElement>%s</ValueElement></CustomFieldDefinition>`, id('f', n), name, forClients, element)
}

func valued(n int, name, element, value string) string {
	return fmt.Sprintf(`<CustomField><UUID>%s</UUID><Name>%s</Name><%s>%s</%s></CustomField>`, strings.ToUpper(id('f', n)), name, element, value, element)
}

func TestCustomFields(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	p := &practice{asked: map[string]int{},
		values: valued(1, "Review", "Date", "2026-03-02T00:00:00") + valued(2, "Partner", "Text", "Anna\n   Berg") + valued(5, "Empty", "Text", ""),
		definitions: defined(1, "Review", "Date", "true") + defined(2, "Partner", "Text", "true") + defined(3, "Is VIP", "Boolean", "true") +
			defined(4, "Of contacts", "Boolean", "false")}
	api := serve(t, p.ServeHTTP)
	adapter := New(XPM, nil, func() time.Time { return now })
	detail := func(memory string) *record.Client {
		r, _, err := adapter.Detail(t.Context(), api, memory, anID)
		require.NoError(t, err)
		require.True(t, r.Client.CustomFieldsRead)
		return r.Client
	}
	want := []record.CustomField{{ID: id('f', 3), Name: "Is VIP", Value: "false"}, {ID: id('f', 2), Name: "Partner", Value: "Anna\nBerg"},
		{ID: id('f', 1), Name: "Review", Value: "2026-03-02"}}
	require.Equal(t, want, detail("a").CustomFields)
	require.Equal(t, []string{"G"}, detail("a").Groups)
	require.Equal(t, map[string]int{"client": 2, "values": 2, "definitions": 1}, p.asked, "definitions are remembered")
	detail("b")
	require.Equal(t, 2, p.asked["definitions"], "for each connection by itself")

	p.values += valued(3, "Is VIP", "Boolean", "True")
	require.Equal(t, "true", detail("a").CustomFields[0].Value)
	p.values += valued(6, "New", "Decimal", "1,000.5")
	p.definitions += defined(6, "New", "Decimal", "true") + defined(7, "New box", "Boolean", "true")
	require.Len(t, detail("a").CustomFields, 4, "fresh definitions are not read again")
	require.Equal(t, 2, p.asked["definitions"])
	now = now.Add(2 * time.Minute)
	got := detail("a").CustomFields
	require.Equal(t, 3, p.asked["definitions"], "a field that is not among them was defined since")
	require.Contains(t, got, record.CustomField{ID: id('f', 7), Name: "New box", Value: "false"})
	require.Contains(t, got, record.CustomField{ID: id('f', 6), Name: "New", Value: "1000.5"})
	detail("a")
	require.Equal(t, 3, p.asked["definitions"])
	now = now.Add(time.Hour)
	detail("a")
	require.Equal(t, 4, p.asked["definitions"])
	require.Len(t, adapter.fields.kept, 1, "what is old is forgotten")
}

func TestCustomFieldsThatCannotBeTrusted(t *testing.T) {
	for name, values := range map[string]string{
		"not of its type":  valued(1, "Secret", "Date", "Hidden"),
		"two values":       `<CustomField><UUID>` + anID + `</UUID><Name>Secret</Name><Text>Hidden</Text><Date>2026-03-02</Date></CustomField>`,
		"no identifier":    `<CustomField><Name>Secret</Name><Text>Hidden</Text></CustomField>`,
		"two lists":        `</CustomFields><CustomFields>`,
		"endless nesting":  strings.Repeat(`<CustomField>`, 50) + strings.Repeat(`</CustomField>`, 50),
		"half a character": valued(1, "Secret", "Text", "Hidden\xc3"),
	} {
		t.Run(name, func(t *testing.T) {
			p := &practice{asked: map[string]int{}, values: values}
			r, _, err := New(XPM, nil, time.Now).Detail(t.Context(), serve(t, p.ServeHTTP), "a", anID)
			require.ErrorIs(t, err, provider.ErrInvalid)
			require.Nil(t, r.Client)
			require.NotContains(t, err.Error(), "Hidden")
			require.NotContains(t, err.Error(), "Secret")
		})
	}
}

func TestDetailOfWhatIsNotThere(t *testing.T) {
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		doc := `<Response><Status>OK</Status><Client><UUID>` + anID + `</UUID></Client></Response>`
		if strings.HasSuffix(r.URL.Path, "/customfield") {
			doc = `<Response><Status>ERROR</Status><ErrorDescription>Invalid client identifier</ErrorDescription></Response>`
		}
		body(doc, "text/xml")(w, r)
	})
	r, _, err := New(XPM, nil, time.Now).Detail(t.Context(), api, "a", anID)
	require.NoError(t, err, "deleted between the two calls")
	require.Equal(t, record.Record{ID: anID, State: record.Deleted}, r)
	gone := serve(t, body(`<Response><Status>OK</Status><Client><UUID>`+anID+`</UUID><IsDeleted>Yes</IsDeleted></Client></Response>`, "text/xml"))
	r, _, err = New(XPM, nil, time.Now).Detail(t.Context(), gone, "a", anID)
	require.NoError(t, err)
	require.Equal(t, record.Deleted, r.State)
	require.Equal(t, 1, gone.calls, "nobody's fields are asked for")
}
