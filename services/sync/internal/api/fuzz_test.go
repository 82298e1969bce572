package api

import (
	"strings"
	"testing"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// A page token that no list answered is refused, and so is one of another list; what is taken can be a key of either
// database.
func FuzzPageToken(f *testing.F) {
	req := &syncv1.ListClientsRequest{Parent: "firms/018f0000-0000-7000-8000-000000000001"}
	f.Add(place{Key: "acme", ID: "1"}.token(f.Context(), req))
	f.Add("e30")
	f.Add("bnVsbA")
	f.Add("=")
	f.Fuzz(func(t *testing.T, token string) {
		req := &syncv1.ListClientsRequest{Parent: req.GetParent(), PageToken: token}
		p, err := from(t.Context(), req, newest)
		if err != nil || token == "" {
			return
		}
		if p.ID == "" || strings.ContainsRune(p.Key+p.ID, 0) {
			t.Fatalf("%q is %+v", token, p)
		}
		other := &syncv1.ListClientsRequest{Parent: "firms/018f0000-0000-7000-8000-000000000002", PageToken: token}
		if _, err := from(t.Context(), other, newest); err == nil {
			t.Fatalf("%q is a token of two lists", token)
		}
	})
}
