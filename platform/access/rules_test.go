package access_test

import (
	"strings"
	"testing"
	"time"

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

// changed reads the rules of the test service with the rule of one method changed.
func changed(t *testing.T, method string, edit func(*optionsv1.Rule)) error {
	t.Helper()
	things, err := servetest.New(func(f *descriptorpb.FileDescriptorProto) {
		for _, m := range f.GetService()[0].GetMethod() {
			if m.GetName() != method {
				continue
			}
			rule := proto.CloneOf(proto.GetExtension(m.GetOptions(), optionsv1.E_Rule).(*optionsv1.Rule))
			edit(rule)
			proto.SetExtension(m.GetOptions(), optionsv1.E_Rule, rule)
		}
	})
	require.NoError(t, err)
	_, err = access.Rules(things.Descriptor())
	return err
}

func TestAnIncompleteRuleIsAMistake(t *testing.T) {
	require.NoError(t, changed(t, "GetThing", func(*optionsv1.Rule) {}))
	for name, c := range map[string]struct {
		method string
		edit   func(*optionsv1.Rule)
		says   string
	}{
		"permission":      {"GetThing", func(r *optionsv1.Rule) { r.Permission = "everything" }, "not resource.verb"},
		"audit":           {"GetThing", func(r *optionsv1.Rule) { r.Audit = 0 }, "no audit kind"},
		"nobody admitted": {"GetThing", func(r *optionsv1.Rule) { r.Allow = nil; r.Services = nil }, "admits nobody"},
		"unspecified":     {"GetThing", func(r *optionsv1.Rule) { r.Allow[0] = 0 }, "unknown kind 0"},
		"twice":           {"GetThing", func(r *optionsv1.Rule) { r.Allow[0] = r.Allow[1] }, "twice"},
		"no firm field":   {"GetThing", func(r *optionsv1.Rule) { r.FirmField = "" }, "CONTACT without a firm_field"},
		"no such field":   {"GetThing", func(r *optionsv1.Rule) { r.FirmField = "firm" }, "does not have"},
		"no such nested":  {"GetThing", func(r *optionsv1.Rule) { r.FirmField = "thing.firm" }, "does not have"},
		"not a string":    {"GetThing", func(r *optionsv1.Rule) { r.FirmField = "count" }, "not one string"},
		"a message":       {"GetThing", func(r *optionsv1.Rule) { r.FirmField = "thing" }, "not one string"},
		"many":            {"GetThing", func(r *optionsv1.Rule) { r.FirmField = "others" }, "not one string"},
		"through string":  {"GetThing", func(r *optionsv1.Rule) { r.FirmField = "name.x" }, "not one string"},
		"which services":  {"GetThing", func(r *optionsv1.Rule) { r.Services = nil }, "no services"},
		"no service":      {"WhoAmI", func(r *optionsv1.Rule) { r.Services = []string{"sync"} }, "does not admit SERVICE"},
		"nameless":        {"GetThing", func(r *optionsv1.Rule) { r.Services = []string{""} }, "without a name"},
		"nobody steps up": {"Ping", func(r *optionsv1.Rule) { r.StepUp = true }, "step-up"},
		"nobody's self":   {"Ping", func(r *optionsv1.Rule) { r.Self = true }, "about the caller"},
		"self and firm":   {"WhoAmI", func(r *optionsv1.Rule) { r.FirmField = "name" }, "about the caller"},
	} {
		require.ErrorContains(t, changed(t, c.method, c.edit), c.says, name)
	}
}

func TestWhatIsPublicNeedsNoFirm(t *testing.T) {
	require.NoError(t, changed(t, "Ping", func(r *optionsv1.Rule) { r.Allow = append(r.Allow, access.Staff, access.Contact) }))
}

func TestAMethodWithoutARuleIsAMistakeAndAllAreNamed(t *testing.T) {
	things, err := servetest.New(func(f *descriptorpb.FileDescriptorProto) {
		for _, m := range f.GetService()[0].GetMethod()[:2] {
			m.Options = nil
		}
	})
	require.NoError(t, err)
	_, err = access.Rules(things.Descriptor())
	require.ErrorContains(t, err, "/concord.test.v1.ThingService/Ping has no rule")
	require.ErrorContains(t, err, "/concord.test.v1.ThingService/GetThing has no rule")
}

func enforce(t *testing.T, p access.Principal, method string, fields map[string]string) (string, error) {
	t.Helper()
	things, err := servetest.New()
	require.NoError(t, err)
	rules, err := access.Rules(things.Descriptor())
	require.NoError(t, err)
	return rules.Enforce(access.With(t.Context(), p), "/"+servetest.Service+"/"+method, things.Request(fields), noon)
}

func TestTheFirmOfTheRequestIsTheFirmOfTheCall(t *testing.T) {
	own, other := "firms/"+accesstest.FirmA, "firms/"+accesstest.FirmB
	staff := accesstest.Of(access.Staff, accesstest.FirmA)
	firm, err := enforce(t, staff, "GetThing", map[string]string{"name": own + "/things/1"})
	require.NoError(t, err)
	require.Equal(t, accesstest.FirmA, firm)

	_, foreign := enforce(t, staff, "GetThing", map[string]string{"name": other + "/things/1"})
	_, unknown := enforce(t, staff, "GetThing", map[string]string{"name": "firms/none/things/1"})
	require.Equal(t, codes.NotFound, rpcerr.From(foreign).Code())
	require.Equal(t, foreign, unknown, "whether the firm exists must not show")

	for _, bad := range []string{"", "things/1", "firms/", "firms/-/things/1"} {
		_, err := enforce(t, staff, "GetThing", map[string]string{"name": bad})
		require.Equal(t, codes.InvalidArgument, rpcerr.From(err).Code(), "%q", bad)
		require.Equal(t, "name", rpcerr.From(err).Violations()[0].Field)
	}
}

func TestN56_NoOtherFieldLeadsIntoAnotherFirm(t *testing.T) {
	own, other := "firms/"+accesstest.FirmA, "firms/"+accesstest.FirmB
	for _, p := range []access.Principal{
		accesstest.Of(access.Staff, accesstest.FirmA), accesstest.Of(access.Service, accesstest.FirmA),
	} {
		for _, field := range []string{"parent", "others", "thing.name"} {
			_, err := enforce(t, p, "GetThing", map[string]string{"name": own + "/things/1", field: other + "/things/2"})
			require.Equal(t, codes.NotFound, rpcerr.From(err).Code(), field)
			_, err = enforce(t, p, "GetThing", map[string]string{"name": own + "/things/1", field: own + "/things/2"})
			require.NoError(t, err, field)
		}
		_, err := enforce(t, p, "GetThing", map[string]string{"name": own + "/things/1", "text": "firms/ are many"})
		require.NoError(t, err, "words are no names")
	}
}

func TestAServiceActsInTheFirmOfItsToken(t *testing.T) {
	fields := map[string]string{"thing.name": "firms/" + accesstest.FirmA + "/things/1"}
	_, err := enforce(t, access.ServicePrincipal("sync", accesstest.FirmA), "ChangeThing", fields)
	require.NoError(t, err, "a service is not asked to step up")
	_, err = enforce(t, access.ServicePrincipal("sync", ""), "ChangeThing", fields)
	require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())
	_, err = enforce(t, access.ServicePrincipal("sync", ""), "AskGateway", nil)
	require.NoError(t, err)
}

func TestAStepUpIsStrongAndFresh(t *testing.T) {
	fields := map[string]string{"thing.name": "firms/" + accesstest.FirmA + "/things/1"}
	admin := accesstest.SteppedUp(accesstest.Of(access.Administrator, accesstest.FirmA), noon)
	_, err := enforce(t, admin, "ChangeThing", fields)
	require.NoError(t, err)

	weak, stale, never := admin, admin, admin
	weak.Strength = access.StrengthWeak
	stale.StepUpUntil = noon
	never.StepUpUntil = time.Time{}
	for _, p := range []access.Principal{weak, stale, never} {
		_, err := enforce(t, p, "ChangeThing", fields)
		require.True(t, rpcerr.Has(err, rpcerr.StepUpRequired), "%v", err)
		require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())
	}
}

func TestAnUnknownMethodIsDenied(t *testing.T) {
	_, err := enforce(t, accesstest.Of(access.Administrator, accesstest.FirmA), "Nothing", nil)
	require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())
}

func TestTheResourceIsTheNameTheRequestIsAbout(t *testing.T) {
	things, err := servetest.New()
	require.NoError(t, err)
	rules, err := access.Rules(things.Descriptor())
	require.NoError(t, err)
	rule := func(m string) *access.Rule { return rules.Rule("/" + servetest.Service + "/" + m) }
	require.Equal(t, "firms/a/things/1", rule("ChangeThing").Resource(things.Request(map[string]string{"thing.name": "firms/a/things/1"})))
	require.Equal(t, "firms/b", rule("CreateFirm").Resource(things.Request(map[string]string{"name": "firms/b", "text": "x"})))
	require.Empty(t, rule("CreateFirm").Resource(things.Request(nil)))
}

func TestN56_AServiceCallsOnForWhoeverCalledIt(t *testing.T) {
	person := accesstest.Of(access.Staff, accesstest.FirmA)
	first := person.As("sync")
	require.Equal(t, access.Principal{Kind: access.Service, ID: "sync", Firm: accesstest.FirmA, Initiator: &person}, first)
	require.Equal(t, person, *first.As("documents").Initiator, "the person stays the initiator down the line")
	require.Equal(t, "documents", first.As("documents").ID)
	self := access.ServicePrincipal("sync", accesstest.FirmA)
	require.Equal(t, self, self.As("sync"))
	require.Equal(t, self, *self.As("documents").Initiator, "another service's schedule started it")
	require.Equal(t, access.ServicePrincipal("sync", ""), access.Nobody().As("sync"))

	ctx := access.InFirm(access.With(t.Context(), accesstest.Of(access.Operator, "")), "auth", accesstest.FirmB)
	require.Equal(t, accesstest.FirmB, access.From(ctx).Firm)
	require.Equal(t, access.Operator, access.From(ctx).Origin().Kind)
	require.False(t, access.Known(t.Context()))
	require.Equal(t, access.Nobody(), access.From(t.Context()))
}

func TestAddInsDoWhatTheirPersonMay(t *testing.T) {
	fields := map[string]string{"parent": "firms/" + accesstest.FirmA}
	p := accesstest.Of(access.AddIn, accesstest.FirmA)
	_, err := enforce(t, p, "FileThing", fields)
	require.NoError(t, err)
	p.ActsFor = &access.StaffMember{Account: "a", Role: access.ReadOnlyStaff}
	_, err = enforce(t, p, "FileThing", fields)
	require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())
	_, err = enforce(t, accesstest.Of(access.AddIn, accesstest.FirmA), "GetThing", map[string]string{"name": fields["parent"]})
	require.Equal(t, codes.PermissionDenied, rpcerr.From(err).Code())
	require.False(t, strings.Contains(err.Error(), accesstest.FirmA))
}
