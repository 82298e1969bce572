package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

const (
	// leavers is how many clients are archived upstream.
	leavers = 25
	// withDocuments of them have documents; the other folders are empty.
	withDocuments = 15
)

// documents picks the clients that will leave, files documents for some, and sends one for signature.
func (d *Demo) documents(ctx context.Context) ([]row, error) {
	if err := d.asAdministrator(ctx); err != nil {
		return nil, err
	}
	if err := d.pickLeavers(ctx); err != nil {
		return nil, err
	}
	filed := 0
	for i, client := range d.state.Sets["leavers"][:d.filers()] {
		folder, err := d.folderOf(ctx, client)
		if err != nil {
			return nil, err
		}
		for n := range 1 + i%3 {
			name := url.QueryEscape(fmt.Sprintf("Letter %d.pdf", n+1))
			id, err := d.state.request(fmt.Sprintf("file-%s-%d", client, n))
			if err != nil {
				return nil, err
			}
			doc := new(documentsv1.Document)
			if err := d.admin.upload(ctx, folder, name+"&request_id="+id, letter(client, n), doc); err != nil {
				return nil, err
			}
			if i == 0 && n == 0 {
				d.state.Names["for-signature"] = doc.GetName()
			}
			filed++
		}
	}
	job, err := d.sendForSignature(ctx)
	if err != nil {
		return nil, err
	}
	login, err := d.giveLogin(ctx)
	if err != nil {
		return nil, err
	}
	return []row{
		{"portal login", login},
		{"documents filed", fmt.Sprintf("%d, for %d clients", filed, d.filers())},
		{"email job", fmt.Sprintf("number %d, %d document for signature", job.GetNumber(), job.GetOpenSignatures())},
	}, nil
}

// filers is how many of the leavers get documents: three of five, in a small practice too.
func (d *Demo) filers() int {
	return (len(d.state.Sets["leavers"])*withDocuments + leavers - 1) / leavers
}

// letter is a small document, different for each client.
func letter(client string, n int) []byte {
	return fmt.Appendf(nil, "%%PDF-1.4\n%% letter %d to %s\n%%%%EOF\n", n+1, client)
}

// folderOf is the client's folder; it follows the client by an event.
func (d *Demo) folderOf(ctx context.Context, client string) (string, error) {
	return poll(ctx, "the client folder", func() (string, bool, error) {
		list := new(documentsv1.ListFoldersResponse)
		err := d.admin.call(ctx, "GET", "/v1/"+d.firm()+"/folders?client="+client, nil, list)
		if err != nil || len(list.GetFolders()) == 0 {
			return "", false, err
		}
		return list.GetFolders()[0].GetName(), true, nil
	})
}

// giveLogin invites a contact to the portal who has one client only, and that one will leave: such a contact is released
// instead of removed.
func (d *Demo) giveLogin(ctx context.Context) (string, error) {
	for _, client := range d.state.Sets["leavers"][min(2, len(d.state.Sets["leavers"])):] {
		contacts := new(syncv1.ListContactsResponse)
		if err := d.admin.call(ctx, "GET", "/v1/"+d.firm()+"/contacts?client="+client, nil, contacts); err != nil {
			return "", err
		}
		for _, c := range contacts.GetContacts() {
			if len(c.GetRelations()) != 1 {
				continue
			}
			id, err := d.state.request("invite-contact")
			if err != nil {
				return "", err
			}
			err = d.admin.call(ctx, "POST", "/v1/"+d.firm()+"/contactLogins:invite", &authv1.InviteContactRequest{
				Contact: c.GetName(), Email: "contact@client.example", DisplayName: c.GetDisplayName(), RequestId: id,
			}, new(authv1.InviteContactResponse))
			return "for " + c.GetDisplayName(), err
		}
	}
	return "none, no contact belongs to one leaver alone", nil
}

func (d *Demo) sendForSignature(ctx context.Context) (*documentsv1.EmailJob, error) {
	client := d.state.Sets["leavers"][0]
	contacts := new(syncv1.ListContactsResponse)
	if err := d.admin.call(ctx, "GET", "/v1/"+d.firm()+"/contacts?client="+client, nil, contacts); err != nil {
		return nil, err
	}
	if len(contacts.GetContacts()) == 0 {
		return nil, errors.New("the client chosen for the signature has no contact")
	}
	id, err := d.state.request("email-job")
	if err != nil {
		return nil, err
	}
	doc := []string{d.state.Names["for-signature"]}
	req := &documentsv1.CreateEmailJobRequest{
		Client: client, Subject: "Please sign", Message: "The document waits for your signature.",
		Documents: doc, ForSignature: doc, Recipients: []string{contacts.GetContacts()[0].GetName()}, RequestId: id,
	}
	// Who belongs to which client reaches documents by events; after a first sync there are thousands.
	return poll(ctx, "documents to know the contact", func() (*documentsv1.EmailJob, bool, error) {
		job := new(documentsv1.CreateEmailJobResponse)
		err := d.admin.call(ctx, "POST", "/v1/"+d.firm()+"/emailJobs", req, job)
		if reason(err) == "SCOPE_STALE" {
			return nil, false, nil
		}
		return job.GetEmailJob(), true, err
	})
}
