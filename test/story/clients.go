package story

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/test/rest"
)

// eventualWait bounds whatever follows by itself; under a race detector on two busy cores, seconds become tens.
const eventualWait = 60 * time.Second

// Eventually waits until something is so.
func Eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	deadline := time.NewTimer(eventualWait)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline.C:
			t.Fatalf("after %s it is still not so that %s", eventualWait, what)
		case <-t.Context().Done():
			t.Fatalf("the test ended while waiting that %s", what)
		case <-tick.C:
		}
	}
}

// All reads every page of a list. path has the query's beginning; item takes one page and answers the next token.
func All(t testing.TB, p *Person, path string, page func() proto.Message, item func(proto.Message) string) {
	t.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	token := ""
	for {
		m := page()
		require.NoError(t, p.Call(t.Context(), "GET", path+sep+"page_size=1000&page_token="+url.QueryEscape(token), nil, m))
		if token = item(m); token == "" {
			return
		}
	}
}

// Clients lists the client list.
func (p *Person) Clients(t testing.TB, query string) []*syncv1.Client {
	t.Helper()
	var all []*syncv1.Client
	All(t, p, "/v1/"+p.Firm+"/clients?"+query, func() proto.Message { return new(syncv1.ListClientsResponse) }, func(m proto.Message) string {
		r := m.(*syncv1.ListClientsResponse)
		all = append(all, r.GetClients()...)
		return r.GetNextPageToken()
	})
	return all
}

// Folders lists folders.
func (p *Person) Folders(t testing.TB, query string) []*documentsv1.Folder {
	t.Helper()
	var all []*documentsv1.Folder
	All(t, p, "/v1/"+p.Firm+"/folders?"+query, func() proto.Message { return new(documentsv1.ListFoldersResponse) }, func(m proto.Message) string {
		r := m.(*documentsv1.ListFoldersResponse)
		all = append(all, r.GetFolders()...)
		return r.GetNextPageToken()
	})
	return all
}

// Documents lists documents.
func (p *Person) Documents(t testing.TB, query string) []*documentsv1.Document {
	t.Helper()
	var all []*documentsv1.Document
	All(t, p, "/v1/"+p.Firm+"/documents?"+query, func() proto.Message { return new(documentsv1.ListDocumentsResponse) }, func(m proto.Message) string {
		r := m.(*documentsv1.ListDocumentsResponse)
		all = append(all, r.GetDocuments()...)
		return r.GetNextPageToken()
	})
	return all
}

// Contacts lists contacts.
func (p *Person) Contacts(t testing.TB, query string) []*syncv1.Contact {
	t.Helper()
	var all []*syncv1.Contact
	All(t, p, "/v1/"+p.Firm+"/contacts?"+query, func() proto.Message { return new(syncv1.ListContactsResponse) }, func(m proto.Message) string {
		r := m.(*syncv1.ListContactsResponse)
		all = append(all, r.GetContacts()...)
		return r.GetNextPageToken()
	})
	return all
}

// Offboardings lists off-boardings.
func (p *Person) Offboardings(t testing.TB) []*syncv1.Offboarding {
	t.Helper()
	var all []*syncv1.Offboarding
	All(t, p, "/v1/"+p.Firm+"/offboardings", func() proto.Message { return new(syncv1.ListOffboardingsResponse) }, func(m proto.Message) string {
		r := m.(*syncv1.ListOffboardingsResponse)
		all = append(all, r.GetOffboardings()...)
		return r.GetNextPageToken()
	})
	return all
}

// FolderOf is the client's folder; it follows the client by an event.
func (p *Person) FolderOf(t testing.TB, client string) *documentsv1.Folder {
	t.Helper()
	var folder *documentsv1.Folder
	Eventually(t, "the client has a folder", func() bool {
		f := p.Folders(t, "client="+client)
		if len(f) > 0 {
			folder = f[0]
		}
		return len(f) > 0
	})
	return folder
}

// File files a document of n bytes' worth of text and answers it.
func (p *Person) File(t testing.TB, folder, name, content string) *documentsv1.Document {
	t.Helper()
	doc := new(documentsv1.Document)
	require.NoError(t, p.Upload(t.Context(), folder, "display_name="+url.QueryEscape(name), []byte(content), doc))
	return doc
}

// Known pairs upstream records with the suite's clients by name, for names that only one has. It answers up to n pairs.
func (p *Person) Known(t testing.TB, records []remote.Record, n int) (clients []*syncv1.Client, upstream []remote.Record) {
	t.Helper()
	byName := map[string][]*syncv1.Client{}
	for _, c := range p.Clients(t, "") {
		byName[c.GetDisplayName()] = append(byName[c.GetDisplayName()], c)
	}
	for _, r := range records {
		if len(clients) == n {
			break
		}
		if c := byName[r.Name]; len(c) == 1 {
			clients, upstream = append(clients, c[0]), append(upstream, r)
		}
	}
	require.Len(t, clients, n, fmt.Sprintf("only %d of %d records have a name of their own", len(clients), len(records)))
	return clients, upstream
}

// SendForSignature sends a client's document to the client's first contact for signature. Who belongs to which client
// reaches documents by events, so this waits until it is known there.
func (p *Person) SendForSignature(t testing.TB, client, document string) *documentsv1.EmailJob {
	t.Helper()
	contacts := p.Contacts(t, "client="+client)
	require.NotEmpty(t, contacts, "the client has no contact")
	req := &documentsv1.CreateEmailJobRequest{
		Client: client, Subject: "Please sign", Documents: []string{document}, ForSignature: []string{document},
		Recipients: []string{contacts[0].GetName()}, RequestId: uuid.NewString(),
	}
	job := new(documentsv1.CreateEmailJobResponse)
	Eventually(t, "documents knows the contact", func() bool {
		err := p.Call(t.Context(), "POST", "/v1/"+p.Firm+"/emailJobs", req, job)
		if rest.Reason(err) == "SCOPE_STALE" {
			return false
		}
		// A projection that is a moment behind, and not yet stale, does not have the contact.
		if p := rest.ProblemOf(err); p != nil && len(p.Fields) == 1 && p.Fields[0].Field == "recipients[0]" {
			return false
		}
		require.NoError(t, err)
		return true
	})
	return job.GetEmailJob()
}
