package demo

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// withDocuments of 25 leavers have documents; the other folders are empty.
const withDocuments = 15

// documents picks the clients that will leave, files documents for some, and sends one for signature.
func (d *Demo) documents(ctx context.Context) ([]row, error) {
	if err := d.asAdministrator(ctx); err != nil {
		return nil, err
	}
	if err := d.pickLeavers(ctx); err != nil {
		return nil, err
	}
	clients, filed := d.filers(), 0
	for i, client := range clients {
		n, err := d.file(ctx, client, 1+i%3)
		if err != nil {
			return nil, err
		}
		filed += n
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
		{"documents filed", fmt.Sprintf("%d, for %s", filed, count(len(clients), "client"))},
		{"email job", job},
	}, nil
}

// filers are the clients that get documents: the one that is to sign, and three of five leavers, in a small practice all
// that have a part.
func (d *Demo) filers() []string {
	leaving := d.state.Sets["leavers"]
	share := max((len(leaving)*withDocuments+leavers-1)/leavers, min(roles, len(leaving)))
	clients := slices.Clone(leaving[:share])
	if signer := d.state.Names["signer"]; signer != "" && !slices.Contains(clients, signer) {
		clients = append(clients, signer)
	}
	return clients
}

// file puts so many letters into the client's folder; the first one of the signer is what it is asked to sign.
func (d *Demo) file(ctx context.Context, client string, letters int) (int, error) {
	folder, err := d.folderOf(ctx, client)
	if err != nil {
		return 0, err
	}
	for n := range letters {
		name := url.QueryEscape(fmt.Sprintf("Letter %d.pdf", n+1))
		id, err := d.state.request(fmt.Sprintf("file-%s-%d", client, n))
		if err != nil {
			return 0, err
		}
		doc := new(documentsv1.Document)
		if err := d.admin.upload(ctx, folder, name+"&request_id="+id, letter(client, n), doc); err != nil {
			return 0, err
		}
		if client == d.state.Names["signer"] && n == 0 {
			d.state.Names["for-signature"] = doc.GetName()
		}
	}
	return letters, nil
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
	for i, client := range d.state.Sets["leavers"] {
		if i == d.returning() || client == d.state.Names["signer"] {
			continue
		}
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
			return c.GetDisplayName() + " is invited, and has not accepted", err
		}
	}
	return "none, no contact belongs to one leaver alone", nil
}

// sendForSignature asks the signer's first contact to sign, and says how.
func (d *Demo) sendForSignature(ctx context.Context) (string, error) {
	client := d.state.Names["signer"]
	if client == "" && len(d.state.Sets["leavers"]) == 0 {
		return "none, no client of this practice can be told from the others by its name", nil
	}
	if client == "" {
		return "none, the one client that can be told from the others by its name is to leave", nil
	}
	contacts := new(syncv1.ListContactsResponse)
	if err := d.admin.call(ctx, "GET", "/v1/"+d.firm()+"/contacts?client="+client, nil, contacts); err != nil {
		return "", err
	}
	if len(contacts.GetContacts()) == 0 {
		return "none, no client of the practice has a contact who could sign", nil
	}
	id, err := d.state.request("email-job")
	if err != nil {
		return "", err
	}
	doc := []string{d.state.Names["for-signature"]}
	req := &documentsv1.CreateEmailJobRequest{
		Client: client, Subject: "Please sign", Message: "The document waits for your signature.",
		Documents: doc, ForSignature: doc, Recipients: []string{contacts.GetContacts()[0].GetName()}, RequestId: id,
	}
	// Who belongs to which client reaches documents by events; after a first sync there are thousands.
	job, err := poll(ctx, "documents to know the contact", func() (*documentsv1.EmailJob, bool, error) {
		job := new(documentsv1.CreateEmailJobResponse)
		err := d.admin.call(ctx, "POST", "/v1/"+d.firm()+"/emailJobs", req, job)
		if reason(err) == "SCOPE_STALE" {
			return nil, false, nil
		}
		return job.GetEmailJob(), true, err
	})
	return fmt.Sprintf("number %d, %s for signature", job.GetNumber(), count(job.GetOpenSignatures(), "document")), err
}
