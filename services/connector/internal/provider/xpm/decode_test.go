package xpm

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

const anID = "0b63ab7c-0000-4000-8000-0000000000a1"

func readClients(t *testing.T, a provider.Answer) ([]client, error) {
	t.Helper()
	var all []client
	err := decode(a, bounds.page, func(r *reader, name string) error {
		switch name {
		case "Clients":
			return r.clients(func(c client) error { all = append(all, c); return nil })
		case "Client":
			c, err := r.client()
			all = append(all, c)
			return err
		}
		return nil
	})
	return all, err
}

func answer(doc string) provider.Answer {
	return provider.Answer{Body: strings.NewReader(doc), ContentType: "text/xml; charset=utf-8"}
}

func one(t *testing.T, inner string) client {
	t.Helper()
	all, err := readClients(t, answer(`<Response api-method="Get"><Status>OK</Status><Client><UUID>`+anID+`</UUID>`+inner+`</Client></Response>`))
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

func TestEveryFieldOfAClient(t *testing.T) {
	c := one(t, `<Name>Río &amp; Sons <![CDATA[<Trust>]]></Name><FirstName>Ann</FirstName><LastName>Río</LastName><Email>a@example.com</Email>
		<DateOfBirth>1970-11-26T00:00:00</DateOfBirth><Address>1 High St</Address><City>Perth</City><Region>WA</Region>
		<PostCode>6000</PostCode><Country>Australia</Country><PostalAddress>
		   Level 3, The House

		   PO Box 1
		</PostalAddress><PostalCity>Fremantle</PostalCity><PostalRegion>WA</PostalRegion><PostalPostCode>6160</PostalPostCode>
		<PostalCountry>AU</PostalCountry><Phone>08 1</Phone><Fax>08 2</Fax><Website>example.com</Website><ExportCode>RIO01</ExportCode>
		<IsArchived>No</IsArchived><IsDeleted>No</IsDeleted><AccountManager><UUID>x</UUID><Name>Manager</Name></AccountManager>
		<Type><Name>20th</Name></Type><BillingClient><UUID>y</UUID><Name>Other</Name></BillingClient>
		<TaxNumber>******123</TaxNumber><CompanyNumber>005</CompanyNumber><BusinessNumber>51 824</BusinessNumber>
		<BusinessStructure>Trust</BusinessStructure>
		<Contacts><Contact><UUID>0B63AB7C-0000-4000-8000-0000000000C1</UUID><Name>Bob</Name><Salutation>Mr B</Salutation><Mobile>04</Mobile>
		<Email>b@example.com</Email><Phone>08 3</Phone><IsPrimary>Yes</IsPrimary><Position>Director</Position></Contact></Contacts>
		<Notes><Note><Title>T</Title><Text>Name</Text></Note></Notes>
		<Groups><Group><UUID>g</UUID><Name>Family</Name></Group><Group><Name>VIP</Name></Group></Groups><Relationships />`)
	r := c.record()
	require.Equal(t, record.Record{ID: anID, State: record.Active, Client: &record.Client{
		Name: "Río & Sons <Trust>", Code: "RIO01", EntityType: "Trust", FirstName: "Ann", LastName: "Río", Email: "a@example.com",
		Phone: "08 1", OtherPhone: "08 2", Website: "example.com",
		Postal:    record.Address{Street: "Level 3, The House\nPO Box 1", City: "Fremantle", Region: "WA", PostalCode: "6160", Country: "AU"},
		Physical:  record.Address{Street: "1 High St", City: "Perth", Region: "WA", PostalCode: "6000", Country: "Australia"},
		TaxNumber: "******123", BusinessNumber: "51 824", CompanyNumber: "005", BirthDate: "1970-11-26",
		Groups: []string{"Family", "VIP"}, GroupsRead: true, RelationshipsRead: true,
	}}, r)
	require.Len(t, c.contacts, 1)
	contact := c.contacts[0]
	require.Equal(t, record.Record{ID: "0b63ab7c-0000-4000-8000-0000000000c1", State: record.Active, Contact: &record.Contact{
		Name: "Bob", Email: "b@example.com", Phone: "08 3", Mobile: "04", Salutation: "Mr B",
		Links: []record.Link{{Client: anID, Position: "Director", Primary: true}},
	}}, contact.record([]record.Link{contact.link(c.uuid)}))
}

func TestAbsentEmptyAndSelfClosedAreTheSame(t *testing.T) {
	absent := one(t, `<Name>A</Name>`)
	empty := one(t, `<Name>A</Name><Email></Email><Address></Address><IsArchived></IsArchived><Contacts></Contacts><DateOfBirth></DateOfBirth>`)
	closed := one(t, `<Name>A</Name><Email /><Address/><IsDeleted/><Contacts /><DateOfBirth/>`)
	require.Equal(t, absent.record(), empty.record())
	require.Equal(t, absent.record(), closed.record())
	require.Empty(t, closed.contacts)
	require.False(t, closed.fields.GroupsRead)
	require.True(t, one(t, `<Groups />`).fields.GroupsRead, "an empty list of groups says that there are none")
	require.Equal(t, "Individual", one(t, `<FirstName>A</FirstName>`).fields.EntityType)
	require.Empty(t, one(t, `<FirstName />`).fields.EntityType)
}

func TestVersion30(t *testing.T) {
	all, err := readClients(t, answer(`<Response api-method="List"><Status>OK</Status><Clients><Client><ID>24</ID><Name>A</Name>`+
		`<Contacts><Contact><ID>18</ID><Name>C</Name><Position>0</Position><IsPrimary>No</IsPrimary></Contact></Contacts>`+
		`<UUID>`+strings.ToUpper(anID)+`</UUID></Client></Clients></Response>`))
	require.NoError(t, err)
	require.Equal(t, anID, all[0].uuid, "the UUID is the identity, in lower case")
	require.Equal(t, "18", all[0].contacts[0].id, "a contact of 3.0 has no other")
	require.Empty(t, all[0].contacts[0].position)
}

func TestStates(t *testing.T) {
	for inner, want := range map[string]record.State{
		"<IsArchived>No</IsArchived><IsDeleted>No</IsDeleted>":      record.Active,
		"<IsArchived>Yes</IsArchived><IsDeleted>No</IsDeleted>":     record.Archived,
		"<IsArchived>Yes</IsArchived><IsDeleted>yes</IsDeleted>":    record.Deleted,
		"<IsArchived>false</IsArchived><IsDeleted>TRUE</IsDeleted>": record.Deleted,
	} {
		require.Equal(t, want, one(t, inner).record().State, inner)
	}
}

func TestDates(t *testing.T) {
	for text, want := range map[string]string{
		"1970-11-26": "1970-11-26", "1970-11-26T00:00:00": "1970-11-26", "1970-11-26T00:00:00Z": "1970-11-26",
		"19701126": "1970-11-26", "1970-11-26 00:00:00": "1970-11-26", "0001-01-01T00:00:00": "", "26/11/1970": "", "1970-02-30": "", "": "",
	} {
		require.Equal(t, want, birthday(text), text)
	}
}

func TestRefusals(t *testing.T) {
	for words, kind := range map[string]error{
		"Invalid client identifier":   provider.ErrUnknownRecord,
		"Invalid client identifier.":  provider.ErrUnknownRecord,
		"The client name is required": provider.ErrRefused,
		"":                            provider.ErrRefused,
	} {
		doc := `<Response api-method="Get"><Status>ERROR</Status><ErrorDescription>` + words + `</ErrorDescription></Response>`
		all, err := readClients(t, answer(doc))
		require.ErrorIs(t, err, kind, words)
		require.Empty(t, all)
		require.Contains(t, Adapter{}.Refusal(400, []byte(doc)).Text, words)
	}
	_, err := readClients(t, answer(`<Response><Status>ERROR</Status><ErrorDescription>`+strings.Repeat("long ", 500)+`</ErrorDescription></Response>`))
	require.Less(t, len(provider.Text(err)), 310)
	require.Nil(t, Adapter{}.Refusal(400, []byte(`{"Title":"Unauthorized"}`)))
}

func TestNothingIsTakenFromADocumentThatIsNotWhole(t *testing.T) {
	doc := `<?xml version="1.0"?><Response><Status>OK</Status><Clients><Client><UUID>` + anID + `</UUID><Name>A</Name></Client></Clients></Response>`
	_, err := readClients(t, answer(doc))
	require.NoError(t, err)
	for n := range len(doc) {
		_, err := readClients(t, answer(doc[:n]))
		require.ErrorIs(t, err, provider.ErrInvalid, "cut to %d bytes", n)
		require.NotContains(t, err.Error(), anID)
	}
}

func TestAnAnswerThatBreaksOffIsNotAWrongAnswer(t *testing.T) {
	broken := io.MultiReader(strings.NewReader(`<Response><Status>OK</Status><Clients>`), iotest.ErrReader(io.ErrUnexpectedEOF))
	_, err := readClients(t, provider.Answer{Body: broken})
	require.ErrorIs(t, err, provider.ErrUnavailable)
}

func TestWrongDocuments(t *testing.T) {
	wrap := func(inner string) string { return `<Response><Status>OK</Status>` + inner + `</Response>` }
	for name, doc := range map[string]string{
		"empty":              ``,
		"only a mark":        "\xEF\xBB\xBF",
		"html":               `<html><body>Sign in</body></html>`,
		"json":               `{"Status":"OK"}`,
		"no status":          `<Response><Clients/></Response>`,
		"unknown status":     `<Response><Status>MAYBE</Status></Response>`,
		"two roots":          wrap(``) + wrap(``),
		"text after":         wrap(``) + `more`,
		"text before":        `more` + wrap(``),
		"entity bomb":        `<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>` + wrap(`<Client><Name>&b;</Name></Client>`),
		"external entity":    `<!DOCTYPE r SYSTEM "file:///etc/passwd">` + wrap(``),
		"unknown entity":     wrap(`<Client><UUID>` + anID + `</UUID><Name>&nbsp;</Name></Client>`),
		"wrong nesting":      wrap(`<Client><Name>A</Client></Name>`),
		"not UTF-8":          wrap("<Client><Name>\xff\xfe</Name></Client>"),
		"no UUID":            wrap(`<Client><Name>A</Name></Client>`),
		"no valid UUID":      wrap(`<Client><UUID>{` + anID + `}</UUID></Client>`),
		"contact without":    wrap(`<Client><UUID>` + anID + `</UUID><Contacts><Contact><Name>A</Name></Contact></Contacts></Client>`),
		"neither yes nor no": wrap(`<Client><UUID>` + anID + `</UUID><IsArchived>Perhaps</IsArchived></Client>`),
		"deep":               wrap(strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40)),
		"long value":         wrap(`<Client><UUID>` + anID + `</UUID><Name>` + strings.Repeat("x", maxValue+1) + `</Name></Client>`),
		"long token":         wrap(`<Notes><Text>` + strings.Repeat("x", maxToken+2*transport.Slack) + `</Text></Notes>`),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readClients(t, answer(doc))
			require.ErrorIs(t, err, provider.ErrInvalid)
			require.NotEmpty(t, provider.Text(err))
		})
	}
}

func TestSizeIsBounded(t *testing.T) {
	doc := `<Response><Status>OK</Status>` + strings.Repeat(`<Other/>`, 1000) + `</Response>`
	nothing := func(*reader, string) error { return nil }
	require.NoError(t, decode(answer(doc), int64(len(doc))+1, nothing))
	require.ErrorIs(t, decode(answer(doc), int64(len(doc))/2, nothing), provider.ErrInvalid)
}

func TestCharsets(t *testing.T) {
	plain := `<Response><Status>OK</Status><Client><UUID>` + anID + `</UUID><Name>Zoë Müller</Name></Client></Response>`
	latin, err := charmap.ISO8859_1.NewEncoder().String(plain)
	require.NoError(t, err)
	wide, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(plain)
	require.NoError(t, err)
	declared := func(name, doc string) string { return fmt.Sprintf(`<?xml version="1.0" encoding=%q?>`, name) + doc }
	for name, a := range map[string]provider.Answer{
		"header":                   {Body: strings.NewReader(latin), ContentType: "text/xml; charset=ISO-8859-1"},
		"declaration":              {Body: strings.NewReader(declared("windows-1252", latin)), ContentType: "text/xml"},
		"declaration of utf-8":     {Body: strings.NewReader(declared("UTF-8", plain))},
		"mark":                     {Body: strings.NewReader("\xEF\xBB\xBF" + plain), ContentType: "text/xml; charset=iso-8859-1"},
		"utf-16 mark":              {Body: strings.NewReader(wide)},
		"header over declaration":  {Body: strings.NewReader(declared("utf-16", plain)), ContentType: "text/xml; charset=utf-8"},
		"a header that is garbage": {Body: strings.NewReader(plain), ContentType: ";;;"},
	} {
		all, err := readClients(t, a)
		require.NoError(t, err, name)
		require.Equal(t, "Zoë Müller", all[0].fields.Name, name)
	}
	for name, a := range map[string]provider.Answer{
		"header":      {Body: strings.NewReader(plain), ContentType: "text/xml; charset=koi8-r"},
		"declaration": {Body: strings.NewReader(declared("koi8-r", plain))},
	} {
		_, err := readClients(t, a)
		require.ErrorIs(t, err, provider.ErrInvalid, name)
		require.ErrorContains(t, err, "koi8-r", name)
	}
}

func TestErrorsOfBodyAreKept(t *testing.T) {
	own := errors.New("own")
	err := decode(answer(`<Response><Status>OK</Status><X/></Response>`), bounds.page, func(*reader, string) error { return own })
	require.ErrorIs(t, err, provider.ErrInvalid)
}
