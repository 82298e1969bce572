package accounting

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

// numbered returns a contact by number.
func numbered(n int) string {
	return fmt.Sprintf(`{"ContactID":"00000000-0000-4000-8000-%012d","ContactStatus":"ACTIVE","Name":"C%d",
		"ContactPersons":[{"FirstName":"P%d","EmailAddress":"p%d@example.com"}]}`, n, n, n, n)
}

func page(paging string, contacts ...string) string {
	if paging != "" {
		paging = `"pagination":` + paging + `,`
	}
	return `{"Status":"OK",` + paging + `"Contacts":[` + strings.Join(contacts, ",") + `]}`
}

// listing serves n contacts in pages of size, as the provider does; change may spoil an answer.
func listing(n, size int, change func(page int, body string) string) *desk {
	return &desk{answers: func(r provider.Request) (string, error) {
		var at int
		_, _ = fmt.Sscan(r.Query.Get("page"), &at)
		var some []string
		for i := (at - 1) * size; i < min(at*size, n); i++ {
			some = append(some, numbered(i))
		}
		body := page(fmt.Sprintf(`{"page":%d,"pageSize":%d,"pageCount":%d,"itemCount":%d}`, at, size, (n+size-1)/size, n), some...)
		if change != nil {
			body = change(at, body)
		}
		return body, nil
	}}
}

func readAll(t *testing.T, d *desk, q provider.Query) (all []provider.Page, err error) {
	t.Helper()
	p := Adapter{}.List(d, q)
	for {
		page, err := p.Next(t.Context())
		if err != nil {
			return all, err
		}
		if all = append(all, page); page.Next == "" || len(all) > 50 {
			return all, nil
		}
	}
}

func counts(pages []provider.Page) (clients, contacts int, drifted bool) {
	for _, p := range pages {
		drifted = drifted || p.Drifted
		for _, r := range p.Records {
			if r.Client != nil {
				clients++
			} else {
				contacts++
			}
		}
	}
	return clients, contacts, drifted
}

func TestListings(t *testing.T) {
	since := time.Date(2026, 3, 2, 13, 0, 0, 5e8, time.FixedZone("", 3600))
	for want, q := range map[[2]int]provider.Query{
		{25, 0}:  {Listing: provider.Clients},
		{0, 25}:  {Listing: provider.Contacts},
		{25, 25}: {Listing: provider.ChangedClients, Since: since},
	} {
		d := listing(25, 10, nil)
		pages, err := readAll(t, d, q)
		require.NoError(t, err)
		clients, contacts, drifted := counts(pages)
		require.Equal(t, want, [2]int{clients, contacts})
		require.False(t, drifted)
		require.Len(t, d.calls, 3)
		for i, r := range d.calls {
			require.Equal(t, "Contacts", r.Path)
			require.Equal(t, fmt.Sprintf("includeArchived=true&order=ContactID&page=%d&pageSize=1000", i+1), r.Query.Encode())
			require.Equal(t, "application/json", r.Header.Get("Accept"))
			if modified := r.Header.Get("If-Modified-Since"); q.Listing == provider.ChangedClients {
				require.Equal(t, "2026-03-02T12:00:00Z", modified)
			} else {
				require.Empty(t, modified)
			}
		}
		if q.Listing == provider.Clients {
			require.EqualValues(t, 25, pages[0].Total)
		} else {
			require.EqualValues(t, -1, pages[0].Total)
		}

		rest, err := readAll(t, d, provider.Query{Listing: q.Listing, Since: q.Since, From: pages[1].Next})
		require.NoError(t, err)
		require.Len(t, rest, 1)
		require.Equal(t, pages[2], rest[0], "the same page from its token")
	}
}

func TestEmptyListings(t *testing.T) {
	for name, body := range map[string]string{
		"empty page": page(`{"page":1,"pageSize":1000,"pageCount":0,"itemCount":0}`), "one empty page": page(`{"page":1,"pageSize":1000,"pageCount":1,"itemCount":0}`),
		"no paging": page(""), "not modified": "304",
	} {
		d := &desk{answers: func(provider.Request) (string, error) { return body, nil }}
		pages, err := readAll(t, d, provider.Query{Listing: provider.ChangedClients, Since: time.Unix(5, 0)})
		require.NoError(t, err, name)
		require.Len(t, pages, 1, name)
		require.Empty(t, pages[0].Records)
		require.False(t, pages[0].Drifted, name)
	}
}

// TestAProviderThatSaysNothingOfItsPages is read up to an empty page: a short one proves nothing.
func TestAProviderThatSaysNothingOfItsPages(t *testing.T) {
	d := listing(25, 10, func(_ int, body string) string {
		return strings.Replace(body, `"pagination"`, `"other"`, 1)
	})
	pages, err := readAll(t, d, provider.Query{Listing: provider.Clients})
	require.NoError(t, err)
	clients, _, drifted := counts(pages)
	require.Equal(t, 25, clients)
	require.False(t, drifted)
	require.Len(t, d.calls, 4)
}

func TestAListingThatMoves(t *testing.T) {
	replace := func(at int, old, new string) func(int, string) string {
		return func(page int, body string) string {
			if page == at {
				require.Contains(t, body, old)
				body = strings.Replace(body, old, new, 1)
			}
			return body
		}
	}
	for name, change := range map[string]func(int, string) string{
		"one more meanwhile":    replace(2, `"itemCount":25`, `"itemCount":26`),
		"more than announced":   replace(3, numbered(24), numbered(24)+","+numbered(25)),
		"a short page between":  replace(2, numbered(10)+",", ""),
		"fewer than announced":  replace(3, ","+numbered(24), ""),
		"pages that grow fewer": replace(2, `"pageCount":3`, `"pageCount":2`),
	} {
		pages, err := readAll(t, listing(25, 10, change), provider.Query{Listing: provider.Clients})
		require.NoError(t, err, name)
		_, _, drifted := counts(pages)
		require.True(t, drifted, name)
	}
	first, err := Adapter{}.List(listing(25, 10, nil), provider.Query{Listing: provider.Clients}).Next(t.Context())
	require.NoError(t, err)
	rest, err := readAll(t, listing(26, 10, nil), provider.Query{Listing: provider.Clients, From: first.Next})
	require.NoError(t, err)
	require.True(t, rest[0].Drifted, "also across an interruption")
}

func TestPagesThatContradictThemselves(t *testing.T) {
	for name, body := range map[string]string{
		"another page":       page(`{"page":7,"pageSize":10,"pageCount":9,"itemCount":90}`, numbered(1)),
		"more than a page":   page(`{"page":1,"pageSize":1,"pageCount":9,"itemCount":9}`, numbered(1), numbered(2)),
		"the same every day": page("", numbered(1)),
	} {
		_, err := readAll(t, &desk{answers: func(provider.Request) (string, error) { return body, nil }}, provider.Query{Listing: provider.Clients})
		require.ErrorIs(t, err, provider.ErrInvalid, name)
	}
	for _, token := range []string{"x", "1", "1.2", "0.0.-1", "1.-1.5", "1.2.-2", "1.2.3.4", "01.2.3", "+1.2.3", "99999999999999999999.1.1"} {
		_, err := Adapter{}.List(listing(1, 10, nil), provider.Query{Listing: provider.Clients, From: token}).Next(t.Context())
		require.ErrorIs(t, err, provider.ErrRefused, token)
	}
}
