package demo

import (
	"context"
	"fmt"

	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim/remote"
)

// deleteFolder deletes a folder after its warning, and answers the warning.
func (d *Demo) deleteFolder(ctx context.Context, folder string) (string, error) {
	if w := d.state.Names["warning"]; w != "" {
		return w, nil
	}
	preview := new(documentsv1.PreviewDeleteFolderResponse)
	if err := d.admin.call(ctx, "GET", "/v1/"+folder+":previewDelete", nil, preview); err != nil {
		return "", err
	}
	id, err := d.state.request("delete-folder")
	if err != nil {
		return "", err
	}
	if err := d.admin.call(ctx, "POST", "/v1/"+folder+":delete", &documentsv1.DeleteFolderRequest{
		ConfirmedDocumentCount: preview.GetDocumentCount(), RequestId: id,
	}, new(documentsv1.DeleteFolderResponse)); err != nil {
		return "", err
	}
	d.state.Names["warning"] = preview.GetWarning()
	return preview.GetWarning(), d.state.save()
}

// restoreDocument restores an archived document to a business folder and answers the folder's name.
func (d *Demo) restoreDocument(ctx context.Context, doc *documentsv1.Document) (string, error) {
	id, err := d.state.request("business-folder")
	if err != nil {
		return "", err
	}
	made := new(documentsv1.CreateFolderResponse)
	if err := d.admin.call(ctx, "POST", "/v1/"+d.firm()+"/folders?request_id="+id, &documentsv1.Folder{DisplayName: "Brought back " + id[:4]}, made); err != nil {
		return "", err
	}
	if id, err = d.state.request("restore-document"); err != nil {
		return "", err
	}
	err = d.admin.call(ctx, "POST", "/v1/"+doc.GetName()+":restore", &documentsv1.RestoreDocumentRequest{
		Folder: made.GetFolder().GetName(), RequestId: id,
	}, new(documentsv1.RestoreDocumentResponse))
	return fmt.Sprintf("business folder %q", made.GetFolder().GetDisplayName()), err
}

// returning is which of the leavers comes back: the second, which has documents and no open signature; the only one else.
func (d *Demo) returning() int { return min(1, len(d.state.Sets["leavers"])-1) }

// comeBack un-archives one upstream; the next full sync brings its client back, the same one.
func (d *Demo) comeBack(ctx context.Context) ([]row, error) {
	if err := d.asAdministrator(ctx); err != nil {
		return nil, err
	}
	client := d.state.Sets["leavers"][d.returning()]
	if _, err := d.cfg.World.Unarchive(ctx, remote.UUIDs(d.state.Sets["upstream"][d.returning()])); err != nil {
		return nil, err
	}
	run, back, err := d.runUntilBack(ctx, client)
	if err != nil {
		return nil, err
	}
	folder, err := poll(ctx, "its folder to come back", func() (*documentsv1.Folder, bool, error) {
		list := new(documentsv1.ListFoldersResponse)
		err := d.admin.call(ctx, "GET", "/v1/"+d.firm()+"/folders?kind=FOLDER_KIND_CLIENT&client="+client, nil, list)
		if err != nil || len(list.GetFolders()) == 0 {
			return nil, false, err
		}
		return list.GetFolders()[0], true, nil
	})
	if err != nil {
		return nil, err
	}
	return append(runRows(run),
		row{"came back, same id", back.GetDisplayName()},
		row{"its folder", count(folder.GetDocumentCount(), "document") + ", a client folder again"},
	), nil
}

// runUntilBack runs full syncs until the client is listed again. The provider's clock counts seconds, and a listing begun
// in the very second in which the departure was proven proves no return: then it takes the next one.
func (d *Demo) runUntilBack(ctx context.Context, client string) (run *syncv1.Run, back *syncv1.Client, err error) {
	tries := 0
	back, err = poll(ctx, "the client to come back", func() (*syncv1.Client, bool, error) {
		if tries++; run.GetCounts().GetClientsRestored() == 0 {
			if run, err = d.fullRun(ctx, fmt.Sprintf("run-return-%d", tries)); err != nil {
				return nil, false, err
			}
		}
		got := new(syncv1.GetClientResponse)
		err := d.admin.call(ctx, "GET", "/v1/"+client, nil, got)
		return got.GetClient(), got.GetClient().GetState() == syncv1.ClientState_CLIENT_STATE_LISTED, err
	})
	return run, back, err
}

func (d *Demo) nothingNew(ctx context.Context) ([]row, error) {
	if err := d.asAdministrator(ctx); err != nil {
		return nil, err
	}
	run, err := d.fullRun(ctx, "run-nothing-new")
	if err != nil {
		return nil, err
	}
	c := run.GetCounts()
	return append(runRows(run), row{"clients", fmt.Sprintf("%d unchanged, %d created, %d updated",
		c.GetClientsUnchanged(), c.GetClientsCreated(), c.GetClientsUpdated())}), nil
}
