//go:build rolling

package rolling

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/test/rest"
	"github.com/concord-suite/concord/test/story"
)

// gateways is the name that all gateways have; which one it is decides whoever connects.
const gateways = "http://gateway:8080"

// mix is who does what in the load, and what of it was acknowledged.
type mix struct {
	admin, portal *story.Person // with a session each
	staff         *story.Person // who signs in again and again, by password alone
	clients       []*syncv1.Client
	folders       []*documentsv1.Folder // of those clients, to file into

	signing sync.Mutex

	mu    sync.Mutex
	wrote map[string]map[string]bool // by what: the names that were sent, and whether they were acknowledged
	files map[string][]byte          // the content of acknowledged documents, by resource name
	names []string                   // of files
}

// kinds are what the clients of the load do, and how often.
func (m *mix) kinds() []kind {
	return []kind{
		{"list clients", 16, m.listClients},
		{"get a client", 20, m.getClient},
		{"who am I", 10, m.session},
		{"list documents", 10, m.listDocuments},
		{"a contact lists documents", 8, m.portalDocuments},
		{"create a client, with a request id", 10, m.createClient},
		{"create a folder, without one", 8, m.createFolder},
		{"upload", 8, m.upload},
		{"download", 8, m.download},
		{"sign in and out", 1, m.signIn},
	}
}

// as is a person's program on a worker's own connection.
func as(p *story.Person, w *worker) *rest.Client {
	return &rest.Client{Base: gateways, Token: p.Token, HTTP: w.http}
}

func (m *mix) listClients(ctx context.Context, w *worker) error {
	list := new(syncv1.ListClientsResponse)
	err := as(m.admin, w).Call(ctx, "GET", "/v1/"+m.admin.Firm+"/clients?page_size=20", nil, list)
	if err == nil && len(list.GetClients()) != 20 {
		err = fmt.Errorf("%d clients where 20 were to be listed", len(list.GetClients()))
	}
	return err
}

func (m *mix) getClient(ctx context.Context, w *worker) error {
	want := m.clients[w.random.IntN(len(m.clients))]
	got := new(syncv1.GetClientResponse)
	err := as(m.admin, w).Call(ctx, "GET", "/v1/"+want.GetName(), nil, got)
	if err == nil && got.GetClient().GetDisplayName() != want.GetDisplayName() {
		err = fmt.Errorf("another client was answered")
	}
	return err
}

func (m *mix) session(ctx context.Context, w *worker) error {
	return as(m.admin, w).Call(ctx, "GET", "/v1/session", nil, new(authv1.GetCurrentSessionResponse))
}

func (m *mix) listDocuments(ctx context.Context, w *worker) error {
	return as(m.admin, w).Call(ctx, "GET", "/v1/"+m.admin.Firm+"/documents?page_size=20", nil, new(documentsv1.ListDocumentsResponse))
}

func (m *mix) portalDocuments(ctx context.Context, w *worker) error {
	list := new(documentsv1.ListDocumentsResponse)
	err := as(m.portal, w).Call(ctx, "GET", "/v1/"+m.portal.Firm+"/documents?page_size=20", nil, list)
	if err == nil && len(list.GetDocuments()) != 1 {
		err = fmt.Errorf("the contact sees %d documents and not the one that was published", len(list.GetDocuments()))
	}
	return err
}

func (m *mix) createClient(ctx context.Context, w *worker) error {
	name := m.sent("client")
	header := http.Header{"Idempotency-Key": {uuid.NewString()}}
	return m.create(ctx, as(m.admin, w), "client", name, "/clients", &syncv1.Client{DisplayName: name}, header)
}

func (m *mix) createFolder(ctx context.Context, w *worker) error {
	name := m.sent("folder")
	return m.create(ctx, as(m.admin, w), "folder", name, "/folders", &documentsv1.Folder{DisplayName: name}, nil)
}

func (m *mix) create(ctx context.Context, c *rest.Client, what, name, path string, in proto.Message, header http.Header) error {
	body, err := protojson.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := c.Do(ctx, "POST", "/v1/"+m.admin.Firm+path, bytes.NewReader(body), "application/json", header)
	if err != nil {
		return err
	}
	m.acknowledged(what, name)
	return resp.Body.Close()
}

func (m *mix) upload(ctx context.Context, w *worker) error {
	name := m.sent("document")
	folder := m.folders[w.random.IntN(len(m.folders))].GetName()
	content := bytes.Repeat([]byte(name+"\n"), 1+w.random.IntN(2000)) // up to 100 KiB
	doc := new(documentsv1.Document)
	if err := as(m.admin, w).Upload(ctx, folder, "displayName="+url.QueryEscape(name), content, doc); err != nil {
		return err
	}
	m.acknowledged("document", name)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[doc.GetName()] = content
	m.names = append(m.names, doc.GetName())
	return nil
}

func (m *mix) download(ctx context.Context, w *worker) error {
	m.mu.Lock()
	name := m.names[w.random.IntN(len(m.names))]
	want := m.files[name]
	m.mu.Unlock()
	got, err := as(m.admin, w).Download(ctx, name)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%d bytes came back of %d, or others", len(got), len(want))
	}
	return err
}

// signIn is two requests. One at a time: a password costs a core for a moment, and a service that has none to spare says so.
func (m *mix) signIn(ctx context.Context, w *worker) error {
	m.signing.Lock()
	defer m.signing.Unlock()
	c := &rest.Client{Base: gateways, HTTP: w.http}
	done := new(authv1.StartSignInResponse)
	err := c.Call(ctx, "POST", "/v1/sign-in", &authv1.StartSignInRequest{Email: m.staff.Email, Password: story.Password}, done)
	if err != nil {
		return err
	}
	if c.Token = done.GetSessionToken(); c.Token == "" {
		return fmt.Errorf("the sign-in asks for more than the password")
	}
	return c.Call(ctx, "POST", "/v1/session:signOut", &authv1.SignOutRequest{}, nil)
}

// sent makes a name for something new.
func (m *mix) sent(what string) string {
	name := what + " " + uuid.NewString()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wrote[what] == nil {
		m.wrote[what] = map[string]bool{}
	}
	m.wrote[what][name] = false
	return name
}

func (m *mix) acknowledged(what, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wrote[what][name] = true
}
