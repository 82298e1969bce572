package contract

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

const (
	anonymous = optionsv1.PrincipalKind_PRINCIPAL_KIND_ANONYMOUS
	operator  = optionsv1.PrincipalKind_PRINCIPAL_KIND_OPERATOR
	agent     = optionsv1.PrincipalKind_PRINCIPAL_KIND_AGENT
	service   = optionsv1.PrincipalKind_PRINCIPAL_KIND_SERVICE
)

func ruleOf(m protoreflect.MethodDescriptor) *optionsv1.Rule {
	rule, _ := proto.GetExtension(m.Options(), optionsv1.E_Rule).(*optionsv1.Rule)
	return rule
}

func httpOf(m protoreflect.MethodDescriptor) *annotations.HttpRule {
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	return rule
}

func TestEveryRPCHasACompleteRule(t *testing.T) {
	permission := regexp.MustCompile(`^[a-z][a-z_]*\.[a-z][a-z_]*$`)
	services := []string{"auth", "connector", "sync", "documents", "gateway"}
	for _, m := range methods() {
		rule := ruleOf(m)
		if !assert.NotNil(t, rule, m.FullName()) {
			continue
		}
		assert.Regexp(t, permission, rule.GetPermission(), m.FullName())
		assert.NotEmpty(t, rule.GetAllow(), "%s admits nobody", m.FullName())
		assert.NotContains(t, rule.GetAllow(), optionsv1.PrincipalKind_PRINCIPAL_KIND_UNSPECIFIED, m.FullName())
		assert.Len(t, slices.Compact(slices.Sorted(slices.Values(rule.GetAllow()))), len(rule.GetAllow()), "%s names a kind twice", m.FullName())
		assert.Equal(t, slices.Contains(rule.GetAllow(), service), len(rule.GetServices()) > 0,
			"%s: services are named exactly when services are admitted", m.FullName())
		for _, name := range rule.GetServices() {
			assert.Contains(t, services, name, m.FullName())
			if rule.GetAudit() != optionsv1.AuditKind_AUDIT_KIND_NONE {
				assert.NotEqual(t, strings.Split(string(m.FullName()), ".")[1], name, "%s admits the service that answers it", m.FullName())
			}
		}
		assert.NotEqual(t, optionsv1.AuditKind_AUDIT_KIND_UNSPECIFIED, rule.GetAudit(), m.FullName())
		if rule.GetStepUp() {
			assert.NotContains(t, rule.GetAllow(), anonymous, "%s: nobody cannot step up", m.FullName())
			assert.NotEqual(t, []optionsv1.PrincipalKind{service}, rule.GetAllow(), "%s: a service cannot step up", m.FullName())
		}
	}
}

func TestAPermissionMeansOneRPC(t *testing.T) {
	owner := map[string]protoreflect.FullName{}
	for _, m := range methods() {
		permission := ruleOf(m).GetPermission()
		assert.Empty(t, owner[permission], "%s and %s share %q", owner[permission], m.FullName(), permission)
		owner[permission] = m.FullName()
	}
}

// TestEveryRPCNamesItsFirm: an RPC outside every firm is for nobody in particular, the operator, services, or the caller
// itself, or it shows and changes nothing of any firm; every other one says which request field holds the firm, and that field can hold nothing but a name in a firm.
func TestEveryRPCNamesItsFirm(t *testing.T) {
	for _, m := range methods() {
		rule := ruleOf(m)
		if rule.GetFirmField() == "" {
			if rule.GetSelf() || rule.GetAudit() == optionsv1.AuditKind_AUDIT_KIND_NONE {
				continue
			}
			for _, kind := range rule.GetAllow() {
				assert.Contains(t, []optionsv1.PrincipalKind{anonymous, operator, service, agent}, kind,
					"%s is for a firm's people and names no firm", m.FullName())
			}
			continue
		}
		assert.False(t, rule.GetSelf(), "%s names a firm, so it is not about the caller", m.FullName())
		field := fieldAt(m.Input(), rule.GetFirmField())
		if assert.NotNil(t, field, "%s has no field %s", m.Input().FullName(), rule.GetFirmField()) {
			assert.Equal(t, protoreflect.StringKind, field.Kind(), field.FullName())
			assert.True(t, strings.HasPrefix(rulesOf(field).GetString().GetPattern(), "^firms/"),
				"%s: %s must have a pattern that begins with ^firms/", m.FullName(), field.FullName())
		}
	}
}

func TestRequestsAndResponsesBelongToOneRPC(t *testing.T) {
	owner := map[protoreflect.FullName]protoreflect.FullName{}
	for _, m := range methods() {
		for _, message := range []protoreflect.MessageDescriptor{m.Input(), m.Output()} {
			assert.Empty(t, owner[message.FullName()], "%s and %s share %s", owner[message.FullName()], m.FullName(), message.FullName())
			owner[message.FullName()] = m.FullName()
		}
		assert.Equal(t, m.Name()+"Request", m.Input().Name(), m.FullName())
		assert.Equal(t, m.Name()+"Response", m.Output().Name(), m.FullName())
	}
}

// onceAnyway are RPCs that change something and carry no request_id, with the reason.
var onceAnyway = map[protoreflect.FullName]string{
	"concord.auth.v1.SignInService.StartSignIn":            "a second attempt is a second challenge",
	"concord.auth.v1.SignInService.VerifyPin":              "the challenge is redeemed once",
	"concord.auth.v1.SignInService.ResendPin":              "each call means a fresh PIN",
	"concord.auth.v1.SignInService.ClaimInstallation":      "the setup code works once",
	"concord.auth.v1.SessionService.StartStepUp":           "a second attempt is a second challenge",
	"concord.auth.v1.SessionService.VerifyStepUp":          "the challenge is redeemed once",
	"concord.auth.v1.SessionService.SignOut":               "signing out twice is signing out",
	"concord.auth.v1.SignInService.StartPasskeySignIn":     "a second attempt is a second challenge",
	"concord.auth.v1.SignInService.VerifyFactor":           "the challenge is redeemed once",
	"concord.auth.v1.SessionService.DiscardSession":        "discarding twice is discarding",
	"concord.auth.v1.SessionService.UnlockSession":         "the old token opens once",
	"concord.auth.v1.FactorService.StartTotpEnrolment":     "a second start is a second secret; nothing is enrolled by it",
	"concord.auth.v1.FactorService.FinishTotpEnrolment":    "the enrolment is finished once",
	"concord.auth.v1.FactorService.StartPasskeyEnrolment":  "a second start is a second challenge; nothing is enrolled by it",
	"concord.auth.v1.FactorService.FinishPasskeyEnrolment": "the enrolment is finished once",
	"concord.auth.v1.FactorService.StartMobileChange":      "each call means a fresh PIN",
	"concord.auth.v1.FactorService.FinishMobileChange":     "the enrolment is finished once",
	"concord.auth.v1.FactorService.GenerateRecoveryCodes":  "each call means fresh codes; the codes before are void",
	"concord.auth.v1.PasswordService.ChangePassword":       "the current password is another one afterwards",
	"concord.auth.v1.PasswordService.StartPasswordReset":   "each call means a fresh code; those are bounded",
	"concord.auth.v1.PasswordService.FinishPasswordReset":  "the code is redeemed once",
	"concord.auth.v1.AddInService.AuthorizeAddIn":          "each consent is a fresh code that lives a minute",
	"concord.auth.v1.AddInService.IssueAddInToken":         "codes and refresh tokens are redeemed once",
	"concord.auth.v1.AddInService.RevokeAddInToken":        "revoking twice is revoking",

	"concord.auth.v1.FirmService.RequireTwoFactor":                  "the connection is its key",
	"concord.auth.v1.FirmService.ReleaseTwoFactor":                  "the connection is its key",
	"concord.auth.v1.AccountService.FenceContactLogins":             "the saga is its key",
	"concord.auth.v1.AccountService.LiftContactLoginFence":          "the saga is its key",
	"concord.connector.v1.ConnectionService.CompleteConnectAttempt": "the provider's state is redeemed once",
	"concord.documents.v1.FolderService.SetDocumentArchive":         "it sets a value; setting it again changes nothing",
	"concord.documents.v1.DocumentService.FileSystemDocument":       "the document's key is its key",
	"concord.documents.v1.OffboardingService.BeginOffboarding":      "the saga is its key",
	"concord.documents.v1.OffboardingService.AbortOffboarding":      "the saga is its key",
	"concord.documents.v1.OffboardingService.CommitOffboarding":     "the saga is its key",
	"concord.documents.v1.OffboardingService.ReverseOffboarding":    "the saga is its key",
}

func TestMutatingRPCsAreIdempotent(t *testing.T) {
	used := map[protoreflect.FullName]bool{}
	for _, m := range methods() {
		if ruleOf(m).GetAudit() != optionsv1.AuditKind_AUDIT_KIND_CHANGE {
			continue
		}
		if onceAnyway[m.FullName()] != "" {
			used[m.FullName()] = true
			continue
		}
		field := m.Input().Fields().ByName("request_id")
		if assert.NotNil(t, field, "%s changes something and its request has no request_id", m.FullName()) {
			assert.True(t, rulesOf(field).GetString().GetUuid(), "%s must be a UUID", field.FullName())
		}
	}
	for name := range onceAnyway {
		assert.True(t, used[name], "%s is no longer an exception", name)
	}
}

// mayRepeat are the RPCs that take something in and are not audited as a change: callers try those again whose server was
// away (platform/dial), with no request_id, and the second time must change nothing.
var mayRepeat = map[protoreflect.FullName]string{
	"concord.auth.v1.DeliveryService.ReceiveDeliveryReport": "a report states what became of one message",
	"concord.connector.v1.WebhookService.ReceiveWebhook":    "a change that was told before is dropped",
}

func TestWhatIsNotAuditedAsAChangeReads(t *testing.T) {
	reads := regexp.MustCompile(`^(Diagnose|Estimate|Export|Get|InitiateDownload|List|Preview|Read|Resolve|Stream|Verify|Watch)`)
	used := map[protoreflect.FullName]bool{}
	for _, m := range methods() {
		if ruleOf(m).GetAudit() == optionsv1.AuditKind_AUDIT_KIND_CHANGE || reads.MatchString(string(m.Name())) {
			continue
		}
		used[m.FullName()] = true
		assert.NotEmpty(t, mayRepeat[m.FullName()], "%s takes something in, and is tried again as if it changed nothing", m.FullName())
	}
	for name := range mayRepeat {
		assert.True(t, used[name], "%s is no longer an exception", name)
	}
}

// TestActionsComeAfterTheirResource: the address of a resource matches that of an action on it too, "{name}" also
// "{name}:diagnose", and the gateway asks the method first that stands last.
func TestActionsComeAfterTheirResource(t *testing.T) {
	type place struct{ service, path string }
	at := map[place]int{}
	for i, m := range methods() {
		if path := httpOf(m).GetGet(); path != "" {
			at[place{string(m.Parent().FullName()), path}] = i
		}
	}
	actions := 0
	for p, i := range at {
		resource, _, action := strings.Cut(p.path, "}:")
		if before, both := at[place{p.service, resource + "}"}]; action && both {
			assert.Greater(t, i, before, "%s would never be found", p.path)
			actions++
		}
	}
	assert.Positive(t, actions)
}

func TestListsArePaged(t *testing.T) {
	for _, m := range methods() {
		if !strings.HasPrefix(string(m.Name()), "List") {
			continue
		}
		size, token, next := m.Input().Fields().ByName("page_size"), m.Input().Fields().ByName("page_token"), m.Output().Fields().ByName("next_page_token")
		if assert.NotNil(t, size, m.FullName()) && assert.NotNil(t, token, m.FullName()) && assert.NotNil(t, next, m.FullName()) {
			limits := rulesOf(size).GetInt32()
			assert.True(t, limits.HasGte() && limits.HasLte(), "%s must be bounded on both sides", size.FullName())
		}
	}
}

func TestUpdatesCannotOverwriteUnseen(t *testing.T) {
	for _, m := range methods() {
		if !strings.HasPrefix(string(m.Name()), "Update") {
			continue
		}
		guarded := m.Input().Fields().ByName("update_mask") != nil || m.Input().Fields().ByName("etag") != nil
		for i := range m.Input().Fields().Len() {
			if below := m.Input().Fields().Get(i).Message(); below != nil && below.Fields().ByName("etag") != nil {
				guarded = true
			}
		}
		assert.True(t, guarded, "%s has neither an etag nor an update_mask", m.FullName())
	}
}

// ownRoute are RPCs for people that the gateway answers by a route of its own, with the reason. The OpenAPI document has
// them from openapi.base.json.
var ownRoute = map[protoreflect.FullName]string{
	"concord.sync.v1.RunService.WatchRun":               "server-sent events",
	"concord.sync.v1.ClientService.ExportClientHistory": "a CSV file",
	"concord.auth.v1.LedgerService.ExportAuditEntries":  "a file of JSON lines",
	"concord.auth.v1.KeyService.GetKeys":                "services fetch the keys themselves",
}

// TestPeopleHaveREST: what people may call has an HTTP rule; what only services or agents may call has none, so that the
// gateway cannot offer it.
func TestPeopleHaveREST(t *testing.T) {
	for _, m := range methods() {
		if ownRoute[m.FullName()] != "" {
			assert.Nil(t, httpOf(m), "%s is no longer an exception", m.FullName())
			continue
		}
		people := slices.ContainsFunc(ruleOf(m).GetAllow(), func(kind optionsv1.PrincipalKind) bool { return kind != service && kind != agent })
		assert.Equal(t, people, httpOf(m) != nil, "%s: people admitted: %v", m.FullName(), people)
		if httpOf(m).GetGet() != "" {
			assert.NotEqual(t, optionsv1.AuditKind_AUDIT_KIND_CHANGE, ruleOf(m).GetAudit(), "%s changes something by GET", m.FullName())
		}
	}
}
