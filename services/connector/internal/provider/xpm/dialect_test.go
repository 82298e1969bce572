package xpm

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// id makes a UUID of a number.
func id(kind byte, n int) string { return fmt.Sprintf("0b63ab7c-0000-4000-8000-%c%011d", kind, n) }

// account answers as a WorkflowMax account of 250 clients does: one list, archived clients and contacts in it, in pages when
// they are asked for.
func account(t *testing.T, spoil func(page int, doc string) string) (*served, *[]string) {
	var asked []string
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked = append(asked, r.URL.Path+"?"+q.Encode())
		from, to, page, place := 0, 250, 0, ""
		if q.Has("page") {
			size, err := strconv.Atoi(q.Get("pagesize"))
			if err != nil {
				t.Errorf("pagesize: %v", err)
			}
			if page, err = strconv.Atoi(q.Get("page")); err != nil {
				t.Errorf("page: %v", err)
			}
			from, to = (page-1)*size, min(page*size, to)
			place = fmt.Sprintf("<Page>%d</Page><PageSize>%d</PageSize><TotalRecords>250</TotalRecords>", page, size)
		}
		var doc strings.Builder
		doc.WriteString("<Response><Status>OK</Status><Clients>")
		for i := from; i < to; i++ {
			archived := "No"
			if i%50 == 49 {
				archived = "Yes"
			}
			fmt.Fprintf(&doc, `<Client><UUID>%s</UUID><Name>Client %03d</Name><Postcode>%d</Postcode><IsProspect>No</IsProspect><IsArchived>%s</IsArchived>`+
				`<IsDeleted>No</IsDeleted><Contacts>`, id('a', i), i, 6000+i, archived)
			for _, person := range []int{1000 + i, 1000 + i, i / 100} { // its own, twice over, and one that a hundred clients share
				fmt.Fprintf(&doc, `<Contact><UUID>%s</UUID><Name>Person %d</Name><Position>P%d</Position><IsPrimary>%s</IsPrimary></Contact>`,
					id('c', person), person, i, map[bool]string{true: "Yes", false: "No"}[i%100 == 0])
			}
			doc.WriteString(`</Contacts></Client>`)
		}
		doc.WriteString("</Clients>" + place + "</Response>")
		text := doc.String()
		if spoil != nil {
			text = spoil(page, text)
		}
		body(text, "text/xml; charset=utf-8")(w, r)
	}), &asked
}

func TestPagesOfWorkflowMax(t *testing.T) {
	api, asked := account(t, nil)
	adapter := New(WorkflowMax, nil, time.Now)
	pages, err := all(t, adapter.List(api, provider.Query{Listing: provider.Clients}))
	require.NoError(t, err)
	require.Equal(t, []string{"/api/client.api/list?page=1&pagesize=100", "/api/client.api/list?page=2&pagesize=100",
		"/api/client.api/list?page=3&pagesize=100"}, *asked)
	require.Len(t, pages, 3)
	require.Len(t, pages[2].Records, 50)
	for _, p := range pages {
		require.EqualValues(t, 250, p.Total)
		require.Equal(t, 100, p.Size)
	}
	require.Equal(t, record.Archived, pages[0].Records[49].State, "its list has archived clients, and says so")
	require.Equal(t, "6007", pages[0].Records[7].Client.Physical.PostalCode)
	rest, err := all(t, adapter.List(api, provider.Query{Listing: provider.Clients, From: pages[0].Next}))
	require.NoError(t, err)
	require.Equal(t, pages[1:], rest, "going on after the first page")
	require.NoError(t, adapter.Probe(t.Context(), api))
	require.Equal(t, "/api/client.api/list?pagesize=1", (*asked)[len(*asked)-1])
	require.Contains(t, adapter.Privilege(), "WorkflowMax")
}

// TestContactsOfWorkflowMax: there is no list of contacts, so they come out of the clients, each once and with all of its
// clients, wherever the reading begins.
func TestContactsOfWorkflowMax(t *testing.T) {
	api, _ := account(t, nil)
	adapter := New(WorkflowMax, nil, time.Now)
	pages, err := all(t, adapter.List(api, provider.Query{Listing: provider.Contacts}))
	require.NoError(t, err)
	require.Equal(t, 1+3, api.calls, "one list for whose they are, and the pages")
	links := map[string][]record.Link{}
	for _, p := range pages {
		require.True(t, p.Gathered)
		require.False(t, p.Drifted)
		for _, r := range p.Records {
			require.False(t, links[r.ID] != nil, "once")
			links[r.ID] = r.Contact.Links
		}
	}
	require.Len(t, links, 250+3)
	require.Len(t, links[id('c', 1007)], 1)
	shared := links[id('c', 1)]
	require.Len(t, shared, 100, "the clients of the second hundred")
	at := slices.IndexFunc(shared, func(l record.Link) bool { return l.Client == id('a', 100) })
	require.Equal(t, record.Link{Client: id('a', 100), Position: "P100", Primary: true}, shared[at], "the role is the link's")
	rest, err := all(t, adapter.List(api, provider.Query{Listing: provider.Contacts, From: pages[0].Next}))
	require.NoError(t, err)
	require.Len(t, rest, 2)
	require.Equal(t, pages[1].Records, rest[0].Records, "going on gives neither more nor less")
}

func TestPagesOfWorkflowMaxThatCannotBeTrusted(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		words    string
	}{
		"another page":         {"<Page>2</Page>", "<Page>1</Page>", "another page"},
		"no page":              {"<Page>2</Page>", "", "another page"},
		"no total":             {"<TotalRecords>250</TotalRecords>", "", "how many records"},
		"a total that is none": {"<TotalRecords>250</TotalRecords>", "<TotalRecords>many</TotalRecords>", "TotalRecords"},
		"a negative total":     {"<TotalRecords>250</TotalRecords>", "<TotalRecords>-1</TotalRecords>", "TotalRecords"},
		"an early end":         {"<Clients>", "<Clients/><Old>", "ends before"},
	} {
		t.Run(name, func(t *testing.T) {
			api, _ := account(t, func(page int, doc string) string {
				if page == 2 {
					doc = strings.Replace(doc, c.from, c.to, 1)
					if c.to == "<Clients/><Old>" {
						doc = strings.Replace(doc, "</Clients>", "</Old>", 1)
					}
				}
				return doc
			})
			pages, err := all(t, New(WorkflowMax, nil, time.Now).List(api, provider.Query{Listing: provider.Clients}))
			require.ErrorIs(t, err, provider.ErrInvalid)
			require.ErrorContains(t, err, c.words)
			require.Len(t, pages, 1)
		})
	}
	_, err := New(WorkflowMax, nil, time.Now).List(nilCaller{}, provider.Query{Listing: provider.LegacyIDs}).Next(t.Context())
	require.ErrorIs(t, err, provider.ErrRefused, "it never had other ids")
}

// nilCaller must not be called.
type nilCaller struct{ provider.Caller }

// TestXPMFollowsLinks: the same listings in the other dialect.
func TestXPMFollowsLinks(t *testing.T) {
	var asked []string
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+"?"+r.URL.Query().Encode())
		next := ""
		if r.URL.Query().Get("pageToken") == "" {
			next = `<Pagination><Links><First>x</First><Next>https://elsewhere.example/?pageToken=` + url.QueryEscape("a&b") + `&amp;x=1</Next></Links></Pagination>`
		}
		body(`<Response><Status>OK</Status><Clients><Client><UUID>`+id('a', len(asked))+`</UUID></Client></Clients>`+next+`</Response>`, "text/xml")(w, r)
	})
	pages, err := all(t, New(XPM, nil, time.Now).List(api, provider.Query{Listing: provider.Clients}))
	require.NoError(t, err)
	require.Len(t, pages, 2)
	require.EqualValues(t, -1, pages[0].Total)
	require.Equal(t, []string{"/api/client.api/paged-list?pageSize=500", "/api/client.api/paged-list?pageSize=500&pageToken=a%26b"}, asked)
}
