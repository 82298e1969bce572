// Package evidence gathers what an assessor asks for: the facts of one firm, counted now. It names keys and services, and no
// people.
package evidence

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/telemetry"
	"github.com/concord-suite/concord/platform/vault"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/trail"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/chain"
	"github.com/concord-suite/concord/services/auth/internal/store/figures"
)

// Retention is how long entries of the ledger are kept.
const Retention = "for good: entries are never deleted, and the database refuses to (12 months are asked for)"

// window is over which sign-ins are counted.
const window = 30 * 24 * time.Hour

// Source is where the facts come from.
type Source struct {
	DB    *sqldb.DB
	Vault *vault.Vault
	Now   func() time.Time
	// Site is the host that people reach the suite at, for which passkeys count.
	Site string
	// Policy reads the policy of a firm.
	Policy func(tx *sqldb.Tx, firm string) (account.Firm, *authv1.SecurityPolicy, error)
}

// Of counts the evidence of a firm. The error is the policy's when there is no such firm.
func (s Source) Of(ctx context.Context, firm string) (*authv1.Evidence, error) {
	now := s.Now()
	out := &authv1.Evidence{Firm: "firms/" + firm, CreateTime: timestamppb.New(now), Version: telemetry.ReadBuild().String()}
	var f account.Firm
	for _, read := range []func(tx *sqldb.Tx) error{
		func(tx *sqldb.Tx) (err error) {
			f, out.Policy, err = s.Policy(tx, firm)
			out.FirmDisplayName = f.DisplayName
			return err
		},
		func(tx *sqldb.Tx) (err error) { out.PolicyChanges, err = changes(tx, firm); return err },
		func(tx *sqldb.Tx) (err error) { out.Staff, err = s.coverage(tx, f, account.Staff); return err },
		func(tx *sqldb.Tx) (err error) { out.Contacts, err = s.coverage(tx, f, account.Contact); return err },
		func(tx *sqldb.Tx) (err error) { out.Sessions, err = sessions(tx, firm, now); return err },
		func(tx *sqldb.Tx) (err error) { out.Keys, err = s.keys(tx, now); return err },
		func(tx *sqldb.Tx) (err error) { out.SignIns, err = signIns(tx, firm, now.Add(-window)); return err },
		func(tx *sqldb.Tx) (err error) { out.Ledger, err = proof(tx, firm); return err }, // the longest, by itself at the end
	} {
		// Each part in a transaction of its own: a long ledger holds up nothing, and what changes in between is true as well.
		if err := s.DB.Read(ctx, read); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s Source) coverage(tx *sqldb.Tx, f account.Firm, kind account.Kind) (*authv1.FactorCoverage, error) {
	c, err := figures.CoverageOf(tx, f.ID, kind, s.Site, s.Now())
	out := &authv1.FactorCoverage{
		Active: int32(c.Active), Passkey: int32(c.Passkey), Totp: int32(c.TOTP), Sms: int32(c.SMS), EmailOnly: int32(c.EmailOnly),
		RecoveryCodes: int32(c.Recovery), Invited: int32(c.Invited), Disabled: int32(c.Disabled),
	}
	if f.NeedsSecondFactor(account.Account{Kind: kind}) {
		out.TwoFactor = out.Active
	}
	return out, err
}

func sessions(tx *sqldb.Tx, firm string, now time.Time) (*authv1.SessionAges, error) {
	s, err := figures.SessionsOf(tx, firm, now)
	out := &authv1.SessionAges{
		Open: int32(s.Open), AddIns: int32(s.AddIns), SingleFactor: int32(s.Single),
		LongestSeconds: int64(session.Life / time.Second), IdleSeconds: int64(session.Idle / time.Second),
	}
	if !s.Oldest.IsZero() {
		out.OldestSeconds = int64(now.Sub(s.Oldest) / time.Second)
	}
	return out, err
}

// keyTables are the keys that are kept in the database, by what they are for.
var keyTables = []struct {
	purpose, table string
	ending         bool
}{
	{"signs internal tokens", "signing_keys", true},
	{"signs ID tokens of Add-Ins", "id_token_keys", true},
	{"signs exports of the audit ledger", "ledger_keys", false},
	{"goes into password hashes", "peppers", false},
}

func (s Source) keys(tx *sqldb.Tx, now time.Time) (out []*authv1.KeyAge, err error) {
	for _, t := range keyTables {
		keys, err := figures.KeysOf(tx, t.table, t.ending, now)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			age := &authv1.KeyAge{Purpose: t.purpose, KeyId: k.ID, CreateTime: timestamppb.New(k.Created)}
			if !k.Retires.IsZero() {
				age.RetireTime = timestamppb.New(k.Retires)
			}
			out = append(out, age)
		}
	}
	if s.Vault == nil {
		return out, nil
	}
	ring := s.Vault.Keys() // whose file says no times
	for purpose, keys := range map[string][]vault.Key{"seals secrets": ring.Seal, "hashes PINs and codes": ring.MAC} {
		for _, k := range keys {
			out = append(out, &authv1.KeyAge{Purpose: purpose + " (keyring, " + string(k.Role) + ")", KeyId: string(k.ID)})
		}
	}
	slices.SortStableFunc(out, func(a, b *authv1.KeyAge) int { return strings.Compare(a.GetPurpose(), b.GetPurpose()) })
	return out, nil
}

func proof(tx *sqldb.Tx, firm string) (*authv1.LedgerProof, error) {
	walk, head, err := chain.Walk(tx, firm, trail.Findable)
	if err != nil {
		return nil, err
	}
	out := &authv1.LedgerProof{
		Intact: walk.Broken == 0, Entries: walk.Entries, HeadHash: hex.EncodeToString(head.Hash), Retention: Retention,
	}
	oldest, newest, err := chain.Span(tx, firm)
	if err == nil && !newest.IsZero() {
		out.OldestTime, out.NewestTime = timestamppb.New(oldest), timestamppb.New(newest)
	}
	return out, err
}

func signIns(tx *sqldb.Tx, firm string, since time.Time) (*authv1.SignInFigures, error) {
	out := &authv1.SignInFigures{StartTime: timestamppb.New(since)}
	methods := map[string]int64{}
	err := figures.Acts(tx, firm, "session.opened", since, func(payload []byte) error {
		var e auditeventsv1.AuditEntry
		if err := proto.Unmarshal(payload, &e); err != nil {
			return nil // the proof says which entry it is
		}
		out.Succeeded++
		methods[e.GetMethods()]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = figures.Acts(tx, firm, "sign_in.", since, func(payload []byte) error {
		var e auditeventsv1.AuditEntry
		switch err := proto.Unmarshal(payload, &e); {
		case err != nil || e.GetSuccess():
		case e.GetAction() == "sign_in.password":
			out.WrongPasswords++
		default:
			out.WrongFactors++
		}
		return nil
	})
	for m, n := range methods {
		out.ByMethod = append(out.ByMethod, &authv1.MethodCount{Methods: m, Count: n})
	}
	slices.SortFunc(out.ByMethod, func(a, b *authv1.MethodCount) int { return strings.Compare(a.GetMethods(), b.GetMethods()) })
	return out, err
}

// changesAtOnce is how many states of a policy are read at a time.
const changesAtOnce = 500

func changes(tx *sqldb.Tx, firm string) (out []*authv1.PolicyChange, err error) {
	var before *store.PolicyState
	for after := int64(0); ; {
		states, err := store.PolicyHistory(tx, firm, after, changesAtOnce)
		if err != nil {
			return nil, err
		}
		for _, s := range states {
			actor := s.ActorKind
			if s.Actor != "" {
				actor = strings.TrimSpace(actor + " " + s.Actor)
			}
			out = append(out, &authv1.PolicyChange{ChangeTime: timestamppb.New(s.At), Actor: actor, Summary: summary(before, s)})
			after, before = s.Firm.Revision, &s
		}
		if len(states) < changesAtOnce {
			return out, nil
		}
	}
}

// summary says in words what came of a change.
func summary(before *store.PolicyState, s store.PolicyState) string {
	var text []string
	switch s.Cause {
	case store.PolicyMade:
		text = append(text, "the firm was made")
	case store.PolicyRequired:
		text = append(text, "the connection "+s.Connection+" requires two-factor sign-in")
	case store.PolicyReleased:
		text = append(text, "the connection "+s.Connection+" does not require two-factor sign-in any more")
	}
	for _, w := range []struct {
		what string
		of   func(account.Firm) string
	}{
		{"two-factor sign-in of staff", func(f account.Firm) string { return onOff(!f.Enforced.IsZero()) }},
		{"PIN by e-mail", func(f account.Firm) string { return onOff(f.EmailPIN) }},
		{"e-mail in place of an undelivered text message", func(f account.Firm) string { return onOff(f.EmailStandsIn) }},
		{"forbidden factors", func(f account.Firm) string { return kinds(f.Forbidden) }},
		{"contacts without a second factor", func(f account.Firm) string { return onOff(f.ContactsExempt) }},
		{"passkey alone", func(f account.Firm) string { return onOff(!f.PasskeyAloneForbidden) }},
	} {
		if before == nil || w.of(before.Firm) != w.of(s.Firm) {
			text = append(text, w.what+": "+w.of(s.Firm))
		}
	}
	return strings.Join(text, "; ")
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func kinds(all []account.Factor) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Trim(fmt.Sprint(all), "[]")
}
