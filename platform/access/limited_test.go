package access_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/serve/servetest"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// Whoever has yet to enrol a factor reaches what is about their own sign-in, and nothing else, however strong and fresh
// the session says it is. T07: enforcement never blocks the very call that enrols.
func TestT07_ALimitedPrincipalReachesOnlyWhatIsItsOwn(t *testing.T) {
	things, err := servetest.New(func(f *descriptorpb.FileDescriptorProto) {
		for _, m := range f.GetService()[0].GetMethod() {
			if m.GetName() == "FileThing" {
				rule := proto.CloneOf(proto.GetExtension(m.GetOptions(), optionsv1.E_Rule).(*optionsv1.Rule))
				rule.Self, rule.FirmField, rule.Allow = true, "", []access.Kind{access.Administrator}
				proto.SetExtension(m.GetOptions(), optionsv1.E_Rule, rule)
			}
		}
	})
	require.NoError(t, err)
	rules, err := access.Rules(things.Descriptor())
	require.NoError(t, err)
	admin := accesstest.SteppedUp(accesstest.Of(access.Administrator, accesstest.FirmA), noon)
	call := func(p access.Principal, method, firm string) error {
		req := things.Request(map[string]string{"name": "firms/" + firm + "/things/1", "thing.name": "firms/" + firm + "/things/1"})
		_, err := rules.Enforce(access.With(t.Context(), p), "/"+servetest.Service+"/"+method, req, noon)
		return err
	}
	require.NoError(t, call(admin, "ChangeThing", accesstest.FirmA))
	admin.Limited = true
	require.NoError(t, call(admin, "FileThing", accesstest.FirmA))
	for _, firm := range []string{accesstest.FirmA, accesstest.FirmB} {
		err := call(admin, "ChangeThing", firm)
		require.True(t, rpcerr.Has(err, rpcerr.EnrolmentRequired), "%v", err)
		require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())
	}
}

func TestALimitTravelsInTheToken(t *testing.T) {
	mint := accesstest.NewMint(t, nil)
	for _, k := range access.Kinds()[1:] {
		p := accesstest.Of(k, accesstest.FirmA)
		p.Limited = true
		if !access.Person(k) {
			_, err := mint.Signer(access.AuthIssuer).Mint(p, "sync", access.MaxTokenLife)
			require.Error(t, err, access.KindName(k))
			continue
		}
		got, err := mint.Verifier("sync").Verify(t.Context(), mint.Token(p, "sync"))
		require.NoError(t, err)
		require.Equal(t, p, got)
	}
	limited := accesstest.Of(access.Staff, accesstest.FirmA)
	limited.Limited = true
	got, err := mint.Verifier("documents").Verify(t.Context(), mint.Token(limited.As("sync"), "documents"))
	require.NoError(t, err)
	require.True(t, got.Origin().Limited)
}
