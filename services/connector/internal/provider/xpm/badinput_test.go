package xpm

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// secret stands in every document that is refused. It must not come out of it, neither as a record nor in an error.
const secret = "Hidden-Client"

// operation is something the adapter asks the provider, and what the answer to it holds.
type operation struct {
	inner string
	run   func(t *testing.T, a Adapter, c provider.Caller) ([]record.Record, error)
}

func listed(listing provider.Listing) func(*testing.T, Adapter, provider.Caller) ([]record.Record, error) {
	return func(t *testing.T, a Adapter, c provider.Caller) (records []record.Record, err error) {
		pages, err := all(t, a.List(c, provider.Query{Listing: listing, Since: time.Unix(1, 0)}))
		for _, p := range pages {
			records = append(records, p.Records...)
		}
		return records, err
	}
}

const (
	aClient = `<Client><ID>7</ID><UUID>` + anID + `</UUID><Name>` + secret + `</Name><Contacts><Contact><UUID>` + anID + `</UUID><Name>` + secret + `</Name></Contact></Contacts></Client>`
	aField  = `<CustomField><UUID>` + anID + `</UUID><Name>` + secret + `</Name><Text>` + secret + `</Text></CustomField>`
)

var operations = map[string]operation{
	"probe": {`<Clients>` + aClient + `</Clients>`, func(t *testing.T, a Adapter, c provider.Caller) ([]record.Record, error) {
		return nil, a.Probe(t.Context(), c)
	}},
	"record": {aClient, func(t *testing.T, a Adapter, c provider.Caller) ([]record.Record, error) {
		r, _, err := a.Record(t.Context(), c, anID)
		if err != nil && r.Client == nil {
			return nil, err
		}
		return []record.Record{r}, err
	}},
	"fields": {`<CustomFields>` + aField + `</CustomFields>`, func(t *testing.T, a Adapter, c provider.Caller) ([]record.Record, error) {
		found, err := a.customFields(t.Context(), c, "", anID)
		return make([]record.Record, len(found)), err
	}},
	"definitions": {`<CustomFieldDefinitions/>`, func(t *testing.T, a Adapter, c provider.Caller) ([]record.Record, error) {
		_, err := a.definitionsOf(c)(t.Context())
		return nil, err
	}},
	"clients":     {`<Clients>` + aClient + `</Clients>`, listed(provider.Clients)},
	"contacts":    {`<Clients>` + aClient + `</Clients>`, listed(provider.Contacts)},
	"changes":     {`<Clients>` + aClient + `</Clients>`, listed(provider.ChangedClients)},
	"former ids":  {`<Clients>` + aClient + `</Clients>`, listed(provider.LegacyIDs)},
	"WorkflowMax": {`<Clients>` + aClient + `</Clients><Page>1</Page><TotalRecords>1</TotalRecords>`, listed(provider.Clients)},
}

// answered is an answer of the provider, whose good content is inner.
type answered struct {
	contentType string
	write       func(w io.Writer, inner string)
	words       string // of what is said for people
}

func text(contentType, words string, doc func(inner string) string) answered {
	return answered{contentType, func(w io.Writer, inner string) { _, _ = io.WriteString(w, doc(inner)) }, words}
}

func whole(inner string) string { return `<Response><Status>OK</Status>` + inner + `</Response>` }

// forever writes until the reader has left.
func forever(start, more string) func(io.Writer, string) {
	return func(w io.Writer, inner string) {
		_, err := io.WriteString(w, start+inner)
		for err == nil {
			_, err = io.WriteString(w, strings.Repeat(more, 1000))
		}
	}
}

const (
	xmlType  = "text/xml; charset=utf-8"
	wrongXML = "not the XML it should be"
	middle   = "ends in the middle"
)

// badInput is every way an answer can be wrong that we know of.
var badInput = map[string]answered{
	"nothing":             text(xmlType, middle, func(string) string { return "" }),
	"white space":         text(xmlType, middle, func(string) string { return " \r\n\t " }),
	"cut off":             text(xmlType, middle, func(in string) string { return strings.TrimSuffix(whole(in), "</Response>") }),
	"cut in a tag":        text(xmlType, middle, func(in string) string { return strings.TrimSuffix(whole(in), ">") }),
	"a second document":   text(xmlType, "follows its end", func(in string) string { return whole(in) + whole(in) }),
	"text behind":         text(xmlType, "follows its end", func(in string) string { return whole(in) + secret }),
	"text before":         text(xmlType, "begin with an element", func(in string) string { return secret + whole(in) }),
	"JSON":                text("application/json", "it is JSON", func(string) string { return `{"Status":"OK","Clients":[{"Name":"` + secret + `"}]}` }),
	"a list in JSON":      text(xmlType, "it is JSON", func(string) string { return ` [{"Name":"` + secret + `"}]` }),
	"a web page":          text("text/html", "it is a web page", func(in string) string { return `<html><body>Sign in, ` + secret + `</body></html>` }),
	"a web page of today": text("text/html", "it is a web page", func(string) string { return "<!DOCTYPE html>\n<html><p>" + secret + "<br></html>" }),
	"another document":    text(xmlType, "another document", func(in string) string { return `<Envelope>` + in + `</Envelope>` }),
	"no status":           text(xmlType, "whether it succeeded", func(in string) string { return `<Response>` + in + `</Response>` }),
	"unknown status":      text(xmlType, "whether it succeeded", func(in string) string { return `<Response><Status>MAYBE</Status>` + in + `</Response>` }),
	"two statuses": text(xmlType, "twice", func(in string) string {
		return `<Response><Status>ERROR</Status><Status>OK</Status>` + in + `</Response>`
	}),
	"everything twice":     text(xmlType, "twice", func(in string) string { return whole(in + in) }),
	"wrong nesting":        text(xmlType, "do not close", func(in string) string { return whole(in + `<a><b></a></b>`) }),
	"an attribute's quote": text(xmlType, wrongXML, func(in string) string { return whole(in + `<a b=` + secret + `/>`) }),
	"bomb of entities": text(xmlType, "document type", func(in string) string {
		return `<!DOCTYPE r [<!ENTITY a "` + secret + `"><!ENTITY b "&a;&a;&a;">]>` + whole(in+`<a>&b;</a>`)
	}),
	"entity of a file": text(xmlType, "document type", func(in string) string {
		return `<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + whole(in+`<a>&x;</a>`)
	}),
	"document type":        text(xmlType, "document type", func(in string) string { return `<!DOCTYPE Response SYSTEM "http://127.0.0.1/x.dtd">` + whole(in) }),
	"document type inside": text(xmlType, "document type", func(in string) string { return whole(in + `<!DOCTYPE x>`) }),
	"unknown entity":       text(xmlType, wrongXML, func(in string) string { return whole(in + `<a>&` + secret + `;</a>`) }),
	"character of none":    text(xmlType, wrongXML, func(in string) string { return whole(in + `<a>&#0;</a>`) }),
	"control character":    text(xmlType, wrongXML, func(in string) string { return whole(in + "<a>\x01</a>") }),
	"unknown charset":      text("text/xml; charset=koi8-r", "koi8-r", whole),
	"charset in words":     text("text/xml; charset="+strings.Repeat("long", 100), "not supported", whole),
	"declared charset":     text("text/xml", "koi8-r", func(in string) string { return `<?xml version="1.0" encoding="koi8-r"?>` + whole(in) }),
	"another version":      text(xmlType, wrongXML, func(in string) string { return `<?xml version="2.0"?>` + whole(in) }),
	"not UTF-8":            text(xmlType, wrongXML, func(in string) string { return whole(in + "<a>\xff\xfe</a>") }),
	"latin called UTF-8": text(xmlType, wrongXML, func(in string) string {
		s, _ := charmap.ISO8859_1.NewEncoder().String(whole(in + "<a>Zoë</a>"))
		return s
	}),
	"half of UTF-16":        text("", middle, func(in string) string { return wide(whole(in))[:len(wide(whole(in)))-1] }),
	"UTF-16 without a mark": text("text/xml", wrongXML, func(in string) string { return wide(whole(in))[2:] }),
	"a name of none":        text(xmlType, wrongXML, func(in string) string { return whole(in + "<" + secret + "\xf4/>") }),
	"zero bytes":            text(xmlType, wrongXML, func(string) string { return strings.Repeat("\x00", 100) }),
	"gzip without a word":   text(xmlType, wrongXML, func(string) string { return "\x1f\x8b\x08\x00" + secret }),
	"deep": text(xmlType, "nest", func(in string) string {
		return whole(in + strings.Repeat("<a>", 100_000) + strings.Repeat("</a>", 100_000))
	}),
	"a long value": text(xmlType, wrongXML, func(in string) string {
		return whole(in + `<Status2>` + strings.Repeat("x", maxToken+2*transport.Slack) + `</Status2>`)
	}),
	"a long name": text(xmlType, "larger", func(in string) string {
		return whole(in + `<` + strings.Repeat("x", maxToken+2*transport.Slack) + `/>`)
	}),
	"a long attribute": text(xmlType, "larger", func(in string) string {
		return whole(in + `<a b="` + strings.Repeat("x", maxToken+2*transport.Slack) + `"/>`)
	}),
	"a long comment": text(xmlType, "larger", func(in string) string {
		return whole(in + `<!--` + strings.Repeat("x", maxToken+2*transport.Slack) + `-->`)
	}),
	"many attributes":       text(xmlType, "larger", func(in string) string { return whole(in + `<a` + strings.Repeat(` b=""`, maxToken/4) + `/>`) }),
	"endless elements":      {xmlType, forever(`<Response><Status>OK</Status>`, "<Other/>"), "larger"},
	"endless text":          {xmlType, forever(`<Response><Status>OK</Status><Other>`, "more "), "larger"},
	"endless name":          {xmlType, func(w io.Writer, in string) { forever(`<Response><Status>OK</Status>`, "more")(w, in+"<") }, "larger"},
	"endless white space":   {xmlType, forever(``, "    "), ""},
	"endless comments":      {xmlType, forever(`<Response><Status>OK</Status>`, "<!-- -->"), "larger"},
	"endless after the end": {xmlType, forever(`<Response><Status>OK</Status></Response>`, "    "), ""},
}

// wide writes UTF-16 with a mark.
func wide(s string) string {
	s, _ = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(s)
	return s
}

// asked runs an operation against a server that answers with a document.
func asked(t *testing.T, name string, o operation, a answered) ([]record.Record, error) {
	t.Helper()
	api := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", a.contentType)
		a.write(w, o.inner)
	})
	dialect := XPM
	if name == "WorkflowMax" {
		dialect = WorkflowMax
	}
	adapter := New(dialect, api.base.JoinPath("old/"), time.Now)
	adapter.limits = limits{page: 2 << 20, list: 2 << 20, changed: 2 << 20} // what has no end has a near one
	return o.run(t, adapter, api)
}

// TestBadInput: whatever the provider sends, an answer that is not whole and right is a named error, nothing is taken from
// it, and nothing of it comes out.
func TestBadInput(t *testing.T) {
	for kind, a := range badInput {
		t.Run(kind, func(t *testing.T) {
			for name, o := range operations {
				records, err := asked(t, name, o, a)
				require.ErrorIs(t, err, provider.ErrInvalid, name)
				require.Contains(t, provider.Text(err), a.words, name)
				require.NotEmpty(t, provider.Text(err), name)
				require.Less(t, len(err.Error()), 300, name)
				require.NotContains(t, err.Error(), secret, name)
				require.Empty(t, records, name)
			}
		})
	}
}

// TestGoodInput: the documents of the table are taken when nothing is wrong with them.
func TestGoodInput(t *testing.T) {
	for name, a := range map[string]answered{
		"plain":          text(xmlType, "", whole),
		"UTF-16":         text("text/xml", "", func(in string) string { return wide(whole(in)) }),
		"spaces, a mark": text("text/xml", "", func(in string) string { return "\xEF\xBB\xBF<?xml version=\"1.0\"?>\n <!-- c --> " + whole(in) + "\n" }),
		"unknown parts":  text(xmlType, "", func(in string) string { return whole(in + `<New a="b"><Deep/><![CDATA[<x>]]></New><New/>`) }),
	} {
		for operation, o := range operations {
			_, err := asked(t, operation, o, a)
			require.NoError(t, err, "%s %s", name, operation)
		}
	}
}

// TestOneThingTwice: an element that comes once says one thing.
func TestOneThingTwice(t *testing.T) {
	for _, part := range []string{"<UUID>" + anID + "</UUID>", "<Name/>", "<IsArchived>No</IsArchived>", "<Contacts/>", "<Relationships/>",
		"<PostalCity>" + secret + "</PostalCity>", "<ExportCode/>", "<ID>1</ID>"} {
		_, err := readClients(t, answer(whole(`<Client><UUID>`+anID+`</UUID>`+part+part+`</Client>`)))
		require.ErrorIs(t, err, provider.ErrInvalid, part)
		require.Contains(t, provider.Text(err), "twice", part)
		require.NotContains(t, err.Error(), secret)
	}
	_, err := readClients(t, answer(whole(`<Client><UUID>`+anID+`</UUID><WebSite>a</WebSite><Website>b</Website></Client>`)))
	require.ErrorIs(t, err, provider.ErrInvalid, "in two spellings")
	_, err = readClients(t, answer(whole(`<Client><UUID>`+anID+`</UUID><Contacts><Contact><UUID>a</UUID><Name>x</Name><Name>y</Name></Contact></Contacts></Client>`)))
	require.ErrorIs(t, err, provider.ErrInvalid, "of a contact")
	_, err = readClients(t, answer(whole(`<Client><UUID>`+anID+`</UUID><Unknown/><Unknown/></Client>`)))
	require.NoError(t, err, "of what is not read it does not matter")
}

// TestLettersThatAnEncodingDoesNotHave: a decoder would write a question mark into people's names.
func TestLettersThatAnEncodingDoesNotHave(t *testing.T) {
	doc := whole(`<Client><UUID>` + anID + "</UUID><Name>Zo\x81</Name></Client>")
	_, err := readClients(t, provider.Answer{Body: strings.NewReader(doc), ContentType: "text/xml; charset=windows-1252"})
	require.ErrorIs(t, err, provider.ErrInvalid)
	require.Contains(t, provider.Text(err), "letters")
	lone := wide(whole(`<Client><UUID>` + anID + `</UUID><Name>Zo`))
	lone += "\x00\xD8" + wide(`</Name></Client>`)[2:] + wide(`</Response>`)[2:]
	lone = strings.Replace(lone, wide(`</Response>`)[2:], "", 1) + wide(`</Response>`)[2:]
	_, err = readClients(t, provider.Answer{Body: strings.NewReader(lone)})
	require.ErrorIs(t, err, provider.ErrInvalid)
	require.Contains(t, provider.Text(err), "letters")
}
