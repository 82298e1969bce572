package api

import (
	"testing"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
)

// A place in a list or a listing that the service did not write is refused; what is taken is one of its own form.
func FuzzPageTokens(f *testing.F) {
	const id = "018f0000-0000-7000-8000-000000000001"
	f.Add(placeOf(connection.Connection{Ref: connection.Ref{ID: id}}))
	f.Add(position{Connection: id, Token: "1.2.3", Page: 4}.String())
	f.Add("bnVsbA")
	f.Add("e30")
	f.Fuzz(func(t *testing.T, token string) {
		if at, err := parsePlace(token); err == nil && token != "" {
			again, err := parsePlace(placeOf(connection.Connection{Ref: connection.Ref{ID: at.ID}, Created: at.Created}))
			if err != nil || !again.Created.Equal(at.Created) || again.ID != at.ID {
				t.Fatalf("%q is %+v, written again %+v: %v", token, at, again, err)
			}
		}
		p, err := parsePosition(token, id, provider.Listing(0))
		if err == nil && (p.Connection != id || p.Page < 0) {
			t.Fatalf("%q is %+v", token, p)
		}
	})
}
