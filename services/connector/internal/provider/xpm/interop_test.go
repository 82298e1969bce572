//go:build interop

package xpm

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// exchange is one recorded request with its answer.
type exchange struct {
	Fixture, Method, URI string
	Status               int
	Headers              map[string]string
	ResponseBody         *string `json:"response_body"`
	body                 []byte
}

func fixtures(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("CONCORD_PROVIDER_DATA")
	if root == "" {
		t.Fatal("CONCORD_PROVIDER_DATA names the folder of provider data")
	}
	return filepath.Join(root, "fixtures", name)
}

func recorded(t *testing.T) []exchange {
	t.Helper()
	dir := fixtures(t, "xpm-v3.0-recorded")
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	require.NoError(t, err)
	var all []exchange
	require.NoError(t, json.Unmarshal(text, &all))
	require.NotEmpty(t, all)
	for i := range all {
		if all[i].ResponseBody != nil {
			all[i].body, err = os.ReadFile(filepath.Join(dir, *all[i].ResponseBody))
			require.NoError(t, err)
		}
	}
	return all
}

// plain is what the standard library makes of a document, to compare with.
type plain struct {
	Status  string
	Clients []plainClient `xml:"Clients>Client"`
	Client  []plainClient
	Contact []struct{ ID, Name, Email string }
}

type plainClient struct {
	UUID, Name, Email, ExportCode string
	Contacts                      []struct{ ID, Name string } `xml:"Contacts>Contact"`
}

// TestInteropRecordedDocuments decodes every recorded client and contact and compares with a decoder of another kind.
func TestInteropRecordedDocuments(t *testing.T) {
	seen := 0
	for _, e := range recorded(t) {
		if !strings.HasPrefix(e.Fixture, "client__") && !strings.HasPrefix(e.Fixture, "contact__") {
			continue
		}
		t.Run(e.Fixture, func(t *testing.T) {
			seen++
			compare(t, e.body, e.Headers["content-type"])
		})
	}
	require.Equal(t, 12, seen)
	shape, err := os.ReadFile(filepath.Join(fixtures(t, "xpm-v3.1-doc-shape"), "client-list-1.response.xml"))
	require.NoError(t, err)
	clients := compare(t, shape, "")
	require.Equal(t, "Level 32, PWC Building\n188 Quay Street\nAuckland Central", clients[0].fields.Postal.Street)
	require.Equal(t, "1970-11-26", clients[0].fields.BirthDate)
}

func compare(t *testing.T, body []byte, contentType string) []client {
	t.Helper()
	var want plain
	require.NoError(t, xml.Unmarshal(body, &want))
	var clients []client
	var contacts []contact
	err := decode(provider.Answer{Body: bytes.NewReader(body), ContentType: contentType}, bounds.page, func(r *reader, name string) error {
		switch name {
		case "Clients":
			return r.clients(func(c client) error { clients = append(clients, c); return nil })
		case "Client":
			c, err := r.client()
			clients = append(clients, c)
			return err
		case "Contact":
			c, err := r.contact()
			contacts = append(contacts, c)
			return err
		}
		return nil
	})
	require.NoError(t, err)
	all := append(want.Clients, want.Client...)
	require.Len(t, clients, len(all))
	require.Len(t, contacts, len(want.Contact))
	require.NotEmpty(t, len(clients)+len(contacts))
	for i, c := range clients {
		require.Equal(t, strings.ToLower(all[i].UUID), c.uuid)
		require.Equal(t, all[i].Name, c.fields.Name)
		require.Equal(t, all[i].Email, c.fields.Email)
		require.Equal(t, all[i].ExportCode, c.fields.Code)
		require.Equal(t, record.Active, c.record().State)
		require.Len(t, c.contacts, len(all[i].Contacts))
	}
	for i, c := range contacts {
		require.Equal(t, want.Contact[i].ID, c.id)
		require.Equal(t, want.Contact[i].Name, c.fields.Name)
	}
	return clients
}

// TestInteropRecordedRefusals reads the recorded answers that say no.
func TestInteropRecordedRefusals(t *testing.T) {
	want := map[string]struct {
		kind error
		text string
	}{
		"job__delete__error":                   {provider.ErrRefused, "Invalid job identifier"},
		"job__state__fail":                     {provider.ErrRefused, "Invalid state code"},
		"connection__get__bad_tenant":          {provider.ErrForbidden, ""},
		"connection__get__bad_token":           {provider.ErrToken, ""},
		"staff__list__access_token_expired":    {provider.ErrToken, ""},
		"connection__get__rate_limit_exceeded": {provider.ErrLimit, ""},
	}
	for _, e := range recorded(t) {
		w, known := want[e.Fixture]
		if !known {
			require.Regexp(t, "^(client|contact)__", e.Fixture, "a recording of another kind needs a test")
			continue
		}
		delete(want, e.Fixture)
		err := e.read()
		require.ErrorIs(t, err, w.kind, e.Fixture)
		require.Contains(t, provider.Text(err), w.text, e.Fixture)
		var refused *provider.Error
		require.True(t, errors.As(err, &refused))
		if w.kind == provider.ErrLimit {
			require.Equal(t, "minute", refused.Limit)
			require.Equal(t, 22*time.Second, refused.RetryAfter)
		}
	}
	require.Empty(t, want, "recordings that are gone")
}

// read is what the connector does with an answer.
func (e exchange) read() error {
	if e.Status == http.StatusOK {
		return decode(provider.Answer{Body: bytes.NewReader(e.body), ContentType: e.Headers["content-type"]}, bounds.page,
			func(*reader, string) error { return nil })
	}
	resp := &http.Response{StatusCode: e.Status, Header: http.Header{}, Body: http.NoBody}
	for name, value := range e.Headers {
		resp.Header.Set(name, value)
	}
	if e.body != nil {
		resp.Body = io.NopCloser(bytes.NewReader(e.body))
	}
	return transport.Problem(resp, time.Time{}, Adapter{}.Refusal)
}

// TestInteropLegacyDocuments reads the sample documents of the first version, which carry both ids.
func TestInteropLegacyDocuments(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixtures(t, "wfm-v1-legacy"), "*.xml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		var found []client
		err = decode(provider.Answer{Body: bytes.NewReader(body)}, bounds.page, func(r *reader, name string) error {
			if name != "Client" {
				return nil
			}
			c, err := r.client()
			found = append(found, c)
			return err
		})
		switch name := filepath.Base(file); {
		case strings.Contains(name, "error"):
			require.True(t, errors.Is(err, provider.ErrRefused) || errors.Is(err, provider.ErrUnknownRecord), name)
		case strings.HasPrefix(name, "client-delete"):
			require.NoError(t, err, name)
		default:
			require.NoError(t, err, name)
			require.Len(t, found, 1, name)
			require.Equal(t, strings.HasPrefix(name, "client-archive"), found[0].record().State == record.Archived, name)
		}
	}
}

// recordedAPI answers with the recordings.
type recordedAPI struct{ base string }

func (a recordedAPI) Call(ctx context.Context, r provider.Request, read func(provider.Answer) error) error {
	request, err := http.NewRequestWithContext(ctx, r.Method, a.base+"/"+r.Path+"?"+r.Query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return read(provider.Answer{Body: resp.Body, ContentType: resp.Header.Get("Content-Type"), ServerTime: transport.ServerTime(resp.Header, time.Time{})})
}

// TestInteropAdapter runs the adapter against a server that answers with the recordings.
func TestInteropAdapter(t *testing.T) {
	by := map[string]exchange{}
	for _, e := range recorded(t) {
		by[e.Fixture] = e
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "client__list"
		switch q := r.URL.Query(); {
		case strings.Contains(r.URL.Path, "/get/"):
			name = "client__get"
		case q.Get("detailed") == "false":
			name = "client__list__when_detailed_false"
		case strings.HasPrefix(q.Get("modifiedsince"), "2020-05-05"):
			name = "client__list__when_modified_since"
		}
		w.Header().Set("Content-Type", by[name].Headers["content-type"])
		_, _ = w.Write(by[name].body)
	}))
	defer server.Close()
	api := recordedAPI{server.URL}

	const got = "0183f65c-08c6-47b7-af05-3da072e901ae"
	adapter := New(XPM, nil, time.Now)
	one, at, err := adapter.Record(t.Context(), api, got)
	require.NoError(t, err)
	require.Equal(t, "Get Client Test", one.Client.Name)
	require.False(t, at.IsZero())
	_, _, err = adapter.Record(t.Context(), api, "11111111-1111-1111-1111-111111111111")
	require.ErrorIs(t, err, provider.ErrInvalid, "another client than the one asked for")

	for since, want := range map[time.Time]int{time.Unix(0, 0): 12, time.Date(2020, 5, 5, 6, 24, 31, 0, time.UTC): 1} {
		page, err := adapter.List(api, provider.Query{Listing: provider.ChangedClients, Since: since}).Next(t.Context())
		require.NoError(t, err)
		clients := 0
		for _, r := range page.Records {
			if r.Client != nil {
				clients++
			}
		}
		require.Equal(t, want, clients)
		require.Greater(t, len(page.Records), clients, "their contacts come too")
	}
	base, err := url.Parse(server.URL + "/")
	require.NoError(t, err)
	former, err := all(t, New(XPM, base, time.Now).List(api, provider.Query{Listing: provider.LegacyIDs}))
	require.NoError(t, err)
	require.Len(t, former, 1)
	require.NotEmpty(t, former[0].Records)
	for _, r := range former[0].Records { // both ids of every client, as they were really answered
		require.Regexp(t, `^[0-9]{8}$`, r.LegacyID)
		require.NoError(t, uuid.Validate(r.ID))
	}

	found, err := readLinks(t.Context(), api, bounds.list)
	require.NoError(t, err)
	require.NotEmpty(t, found.all)
}
