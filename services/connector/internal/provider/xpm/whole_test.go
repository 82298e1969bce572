package xpm

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// old writes n clients as version 3.0 does: the integer id first, the UUID last.
func old(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `<Client><ID>%d</ID><Name>Client %d</Name><Email>c%d@example.com</Email><ExportCode>C%d</ExportCode><IsArchived>%s</IsArchived>`+
			`<Contacts><Contact><ID>7</ID><Name>P</Name></Contact></Contacts><UUID>%s</UUID></Client>`,
			1000+i, i, i, i, map[bool]string{true: "Yes", false: "No"}[i%10 == 9], id('a', i))
	}
	return b.String()
}

const before, after = `<Response api-method="List"><Status>OK</Status><Clients>`, `</Clients></Response>`

// legacyAdapter asks a server for what it answers under another address than the rest.
func legacyAdapter(t *testing.T, answer http.HandlerFunc) (Adapter, *served) {
	var asked string
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path + "?" + r.URL.RawQuery
		answer(w, r)
	})
	t.Cleanup(func() { require.Equal(t, "/api/old/client.api/list?detailed=false", asked) })
	return New(XPM, api.base.JoinPath("old/"), time.Now), api
}

func TestLegacyIDs(t *testing.T) {
	adapter, api := legacyAdapter(t, body(before+old(1100)+after, "text/xml; charset=utf-8"))
	pages, err := all(t, adapter.List(api, provider.Query{Listing: provider.LegacyIDs, From: again}))
	require.NoError(t, err)
	require.Len(t, pages, 3)
	n := 0
	for i, p := range pages {
		require.Equal(t, i == 2, p.Next == "", "only the last page says that the document was whole")
		require.False(t, p.ServerTime.IsZero())
		for _, r := range p.Records {
			require.Equal(t, fmt.Sprint(1000+n), r.LegacyID)
			require.Equal(t, id('a', n), r.ID)
			require.True(t, r.Outline)
			require.Equal(t, &record.Client{Name: fmt.Sprintf("Client %d", n), Code: fmt.Sprintf("C%d", n)}, r.Client)
			require.Equal(t, n%10 == 9, r.State == record.Archived)
			n++
		}
	}
	require.Equal(t, 1100, n)
	require.Equal(t, 1, api.calls)
}

func TestLegacyIDsThatAreMissing(t *testing.T) {
	for inner, want := range map[string]string{"<ID>24</ID>": "24", "": "", "<ID/>": "", "<ID>none</ID>": "", "<ID>-1</ID>": "", "<ID> 7 </ID>": "7"} {
		adapter, api := legacyAdapter(t, body(before+`<Client>`+inner+`<Name>A</Name><UUID>`+anID+`</UUID></Client>`+after, "text/xml"))
		pages, err := all(t, adapter.List(api, provider.Query{Listing: provider.LegacyIDs}))
		require.NoError(t, err, inner)
		require.Equal(t, want, pages[0].Records[0].LegacyID, inner)
	}
	empty, api := legacyAdapter(t, body(before+after, "text/xml"))
	pages, err := all(t, empty.List(api, provider.Query{Listing: provider.LegacyIDs}))
	require.NoError(t, err)
	require.Len(t, pages, 1)
	require.Empty(t, pages[0].Records)
}

// TestLegacyIDsThatBreakOff: what was handed on is not handed on again, and is never called whole.
func TestLegacyIDsThatBreakOff(t *testing.T) {
	cut := func(doc string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10000000")
			_, _ = io.WriteString(w, doc)
		}
	}
	adapter, api := legacyAdapter(t, cut(before+old(700)))
	api.tries = 3
	pages, err := all(t, adapter.List(api, provider.Query{Listing: provider.LegacyIDs}))
	require.ErrorIs(t, err, provider.ErrUnavailable)
	require.Len(t, pages, 1)
	require.Equal(t, 1, api.calls, "not repeated once something was handed on")
	adapter, api = legacyAdapter(t, cut(before+old(300)))
	api.tries = 3
	pages, err = all(t, adapter.List(api, provider.Query{Listing: provider.LegacyIDs}))
	require.ErrorIs(t, err, provider.ErrUnavailable)
	require.Empty(t, pages)
	require.Equal(t, 3, api.calls, "repeated while nothing was")

	for name, doc := range map[string]string{
		"ends in the middle": before + old(700),
		"wrong in the end":   before + old(700) + `<Client><Name>A</Name></Client>` + after,
		"status at the end":  `<Response><Clients>` + old(10) + `</Clients><Status>OK</Status></Response>`,
		"two statuses":       `<Response><Status>OK</Status><Clients>` + old(10) + `</Clients><Status>ERROR</Status></Response>`,
		"two lists":          `<Response><Status>OK</Status><Clients>` + old(10) + `</Clients><Clients/></Response>`,
	} {
		t.Run(name, func(t *testing.T) {
			adapter, api := legacyAdapter(t, body(doc, "text/xml"))
			pages, err := all(t, adapter.List(api, provider.Query{Listing: provider.LegacyIDs}))
			require.ErrorIs(t, err, provider.ErrInvalid)
			for _, p := range pages {
				require.NotEmpty(t, p.Next)
			}
		})
	}
	adapter, api = legacyAdapter(t, body(`<Response><Status>ERROR</Status><ErrorDescription>Not today</ErrorDescription></Response>`, "text/xml"))
	_, err = all(t, adapter.List(api, provider.Query{Listing: provider.LegacyIDs}))
	require.ErrorIs(t, err, provider.ErrRefused)
	require.Equal(t, "Not today", provider.Text(err))
}

// TestWhoLeavesALegacyListingEndsIt: the call ends with the context, though nobody asks for the next page.
func TestWhoLeavesALegacyListingEndsIt(t *testing.T) {
	left := make(chan struct{})
	adapter, api := legacyAdapter(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, before)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, old(100)); err != nil {
				break
			}
		}
		close(left)
	})
	ctx, cancel := context.WithCancel(t.Context())
	page, err := adapter.List(api, provider.Query{Listing: provider.LegacyIDs}).Next(ctx)
	require.NoError(t, err)
	require.Len(t, page.Records, handful)
	cancel()
	select {
	case <-left:
	case <-time.After(time.Minute):
		t.Fatal("the call goes on")
	}
}
