package api

import (
	"testing"
	"unicode/utf8"

	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"

	"github.com/concord-suite/concord/services/documents/internal/filing"
)

// A page token that no list answered is refused; what is taken can be a key of either database.
func FuzzPageToken(f *testing.F) {
	req := &documentsv1.ListFoldersRequest{Parent: "firms/018f0000-0000-7000-8000-000000000001"}
	f.Add(place{Key: "acme", ID: "1", Query: hashOf(req)}.token())
	f.Add("e30")
	f.Add("bnVsbA")
	f.Fuzz(func(t *testing.T, token string) {
		at, size, err := begin(&documentsv1.ListFoldersRequest{Parent: req.GetParent(), PageToken: token})
		if err == nil && (!storable(at.Key) || !storable(at.ID) || at.Number < 0 || size < 1) {
			t.Fatalf("%q is %+v", token, at)
		}
	})
}

// A name that is taken for a document can be read by people as computers read it, and is not blank.
func FuzzDisplayName(f *testing.F) {
	f.Add("Tax return.pdf")
	f.Add("annex\u202efdp.exe")
	f.Add(" \u00a0 ")
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, name string) {
		got, err := displayName("display_name", name)
		if err != nil || !utf8.ValidString(name) { // a message holds nothing else
			return
		}
		if got == "" || !utf8.ValidString(got) || filing.Honest(got) != got {
			t.Fatalf("%q is named %q", name, got)
		}
	})
}
