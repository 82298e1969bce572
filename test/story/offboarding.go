package story

import (
	"testing"

	"github.com/stretchr/testify/require"

	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// Offboard off-boards a client by hand.
func (p *Person) Offboard(t testing.TB, client string, override bool) *syncv1.Offboarding {
	t.Helper()
	started := new(syncv1.OffboardClientResponse)
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/"+client+":offboard", &syncv1.OffboardClientRequest{
		Reason: "left the practice", Override: override,
	}, started))
	return started.GetOffboarding()
}

// AwaitOffboarding waits until an off-boarding is in a state, and answers it with its receipt.
func (p *Person) AwaitOffboarding(t testing.TB, name string, state syncv1.OffboardingState) *syncv1.Offboarding {
	t.Helper()
	got := new(syncv1.GetOffboardingResponse)
	Eventually(t, "the off-boarding is "+state.String(), func() bool {
		require.NoError(t, p.Call(t.Context(), "GET", "/v1/"+name, nil, got))
		return got.GetOffboarding().GetState() == state
	})
	return got.GetOffboarding()
}

// ClientNamed reads one client.
func (p *Person) ClientNamed(t testing.TB, name string) *syncv1.Client {
	t.Helper()
	got := new(syncv1.GetClientResponse)
	require.NoError(t, p.Call(t.Context(), "GET", "/v1/"+name, nil, got))
	return got.GetClient()
}

// Publish shows a document to the client's contacts.
func (p *Person) Publish(t testing.TB, document string) {
	t.Helper()
	require.NoError(t, p.Call(t.Context(), "POST", "/v1/"+document+":publish", &documentsv1.PublishDocumentRequest{Published: true}, nil))
}

// Signatures lists signature requests.
func (p *Person) Signatures(t testing.TB, query string) []*documentsv1.SignatureRequest {
	t.Helper()
	list := new(documentsv1.ListSignatureRequestsResponse)
	require.NoError(t, p.Call(t.Context(), "GET", "/v1/"+p.Firm+"/signatureRequests?page_size=1000&"+query, nil, list))
	return list.GetSignatureRequests()
}
