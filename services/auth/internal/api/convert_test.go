package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/receipt"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store/people"
)

// A field that is added to the contract and forgotten here stays empty, and this test says which.
func TestEveryFieldIsFilled(t *testing.T) {
	now := time.Unix(1_780_000_000, 0)
	a := account.Account{
		ID: "a", Firm: "f", Kind: account.Staff, Role: account.Administrator, Contact: "c", Email: "a@b.example", DisplayName: "A",
		Mobile: "+61491570156", MobileValidated: now, State: account.Active, Created: now, LastSignIn: now,
		PIN: account.PINState{Disabled: now},
	}
	f := account.Firm{ID: "f", DisplayName: "F", Created: now, Enforced: now, EmailPIN: true, Revision: 3, EmailStandsIn: true, ContactsExempt: true,
		PasskeyAloneForbidden: true, Forbidden: account.Forbiddable(),
	}
	s := session.Session{
		ID: "s", Firm: "f", Account: "a", Kind: session.Person, Strength: session.Strong, Methods: []string{"pwd", "otp", "sms"}, Created: now,
		Expires: now.Add(session.Life), Used: now, StepUpUntil: now, Address: "192.0.2.7", MustEnrol: true, EnrolUntil: now, AddIn: "word",
	}
	for _, m := range []proto.Message{
		staffMessage(a, f, people.Enrolled{Codes: 1, Asked: now}), contactLoginMessage(a), firmMessage(f), policyMessage(f, []string{"c"}), (&Server{Now: func() time.Time { return now.Add(session.Idle) }}).listed(s, holderOf(a), "s"),
		challengeMessage(&signin.Pending{
			ID: "c", Channel: factor.SMS, Hint: "h", Expires: now, Resend: now, Factors: factor.Kinds{account.Passkey},
			PasskeyOptions: "{}", Text: receipt.Undelivered, EmailOpen: true,
		}),
	} {
		r := m.ProtoReflect()
		for i := range r.Descriptor().Fields().Len() {
			field := r.Descriptor().Fields().Get(i)
			require.True(t, r.Has(field), field.FullName())
		}
	}
}

func TestEnumsHaveAWordForEach(t *testing.T) {
	for _, r := range []account.Role{account.Administrator, account.Member, account.ReadOnly} {
		require.Equal(t, r, roles[roleOf(r)])
	}
	require.Len(t, roles, valuesOf(roleOf(account.Member).Descriptor()))
	seen := map[protoreflect.EnumNumber]bool{}
	for _, s := range []account.State{account.Invited, account.Active, account.Disabled} {
		seen[stateOf(s).Number()] = true
	}
	require.Len(t, seen, valuesOf(stateOf(account.Active).Descriptor()))
	seen = map[protoreflect.EnumNumber]bool{}
	for _, c := range []factor.Channel{factor.SMS, factor.Email, factor.Both} {
		seen[channelOf(c).Number()] = true
	}
	require.Len(t, seen, valuesOf(channelOf(factor.SMS).Descriptor()))
}

// valuesOf is how many values an enum has beside "unspecified".
func valuesOf(d protoreflect.EnumDescriptor) int { return d.Values().Len() - 1 }

func TestPageTokens(t *testing.T) {
	text, err := pageToken("staff", struct{ Name, ID string }{"Ada", "1"})
	require.NoError(t, err)
	var back struct{ Name, ID string }
	require.NoError(t, readToken(text, "staff", &back))
	require.Equal(t, "Ada", back.Name)
	for _, wrong := range []string{"x", text + "=", text[1:], "bnVsbA", "e30", "eyJrIjoic3RhZmYiLCJjIjoiWCJ9"} {
		require.Error(t, readToken(wrong, "staff", &back), wrong)
	}
	require.Error(t, readToken(text, "firms", &back), "of another list")
	require.NoError(t, readToken("", "firms", &back))
}

func FuzzPageToken(f *testing.F) {
	text, _ := pageToken("staff", struct{ Name, ID string }{"Ada", "1"})
	f.Add(text)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		var back struct{ Name, ID string }
		if readToken(text, "staff", &back) == nil && text != "" && text != "e30" {
			again, err := pageToken("staff", back)
			require.NoError(t, err)
			require.NoError(t, readToken(again, "staff", &back))
		}
	})
}
