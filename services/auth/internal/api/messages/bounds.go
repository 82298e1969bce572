package messages

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/sqldb"
	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/receipt"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/messages"
)

// Limits bound text messages. Each costs money, and whoever earns with the numbers it goes to would like many.
type Limits struct {
	// PerHour bounds those to one account, PerDay those of one firm that has set no bound of its own.
	PerHour, PerDay int
	// Countries are those (ISO 3166) to whose mobiles any are sent.
	Countries []string
	// BlockAccounts is how many accounts with numbers of one block, who were all sent a PIN and came back with none, stop
	// the block.
	BlockAccounts int
	// StopFor is for how long.
	StopFor time.Duration
}

const (
	// pause is the least time between two text messages to one account, unless the PIN of the first came back.
	pause = 30 * time.Second
	// hour is the time over which those to one account are counted.
	hour = time.Hour
	// blockWindow is the time over which silent accounts of a block are counted. Ten minutes is how long a PIN works.
	blockWindow = 10 * time.Minute
	// blockDigits is how many digits at the end of a number are left out: blocks of a thousand are what is rented out.
	blockDigits = 3
)

// Why no text message may be sent. The words are for the person.
var (
	// ErrPause: wait a moment; the last one may be about to arrive.
	ErrPause = errors.New("a text message was sent a moment ago")
	// ErrHour: the account has had enough for an hour.
	ErrHour = errors.New("the account has had as many text messages as it may in an hour")
	// ErrNone: nobody sends any.
	ErrNone = errors.New("text messages can't be sent now")
	// ErrNumber: the mobile is none, or not of a kind that text messages go to.
	ErrNumber = errors.New("the mobile is not a number that text messages are sent to")
	// ErrCountry: the mobile is of a country that is left out.
	ErrCountry = errors.New("text messages are not sent to the country of this mobile")
	// ErrDay: the firm has had enough for today.
	ErrDay = errors.New("the firm has had as many text messages as it may today")
	// ErrStopped: the block of numbers is stopped.
	ErrStopped = errors.New("text messages to numbers like this one are stopped for a while")
)

// reasons are the words for measures.
var reasons = map[error]string{
	ErrPause: "pause", ErrHour: "hour", ErrNone: "none", ErrNumber: "number", ErrCountry: "country", ErrDay: "day", ErrStopped: "stopped",
}

// RefusedError says that no text message may be sent now.
type RefusedError struct {
	// Why is one of the errors above.
	Why error
	// Until is when it may be otherwise; zero when that is not a question of time.
	Until time.Time
}

// Error implements error.
func (e *RefusedError) Error() string { return "messages: " + e.Why.Error() }

// Unwrap returns Why.
func (e *RefusedError) Unwrap() error { return e.Why }

// Ticket is a text message that is counted and may be sent once its transaction is committed.
type Ticket struct {
	id, to, from string
	expires      time.Time
	alarms       []alarm
}

type alarm struct{ kind, block, firm string }

// May tells whether a text message may go to a mobile for an account now. The error is a *RefusedError.
func (d *Desk) May(tx *sqldb.Tx, a account.Account, mobile string) error {
	_, err := d.check(tx, a, mobile, false)
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		d.add(tx.Context(), func(c *Counts) metric.Int64Counter { return c.refused }, attribute.String("bound", reasons[refused.Why]))
	}
	return err
}

// check is May, for a notice without what the account asked for before: whoever does what it tells of could else keep it
// from being sent.
func (d *Desk) check(tx *sqldb.Tx, a account.Account, mobile string, notice bool) (messages.Settings, error) {
	settings, err := messages.SettingsOf(tx, a.Firm)
	if err != nil {
		return settings, err
	}
	now := d.Now()
	if d.SMS == nil {
		return settings, &RefusedError{Why: ErrNone}
	}
	switch _, err := account.NormalizeMobile(mobile, d.countries(settings)); err {
	case nil:
	case account.ErrCountry:
		return settings, &RefusedError{Why: ErrCountry}
	default:
		return settings, &RefusedError{Why: ErrNumber}
	}
	if !notice {
		if err := d.checkAccount(tx, a, now); err != nil {
			return settings, err
		}
	}
	until, err := messages.StoppedUntil(tx, blockOf(mobile))
	if err != nil {
		return settings, err
	}
	if until.After(now) {
		return settings, &RefusedError{Why: ErrStopped, Until: until}
	}
	sent, err := messages.DayCount(tx, a.Firm, now)
	if err == nil && sent >= d.perDay(settings) {
		err = &RefusedError{Why: ErrDay, Until: now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)}
	}
	return settings, err
}

// checkAccount is about what the account had before.
func (d *Desk) checkAccount(tx *sqldb.Tx, a account.Account, now time.Time) error {
	recent, err := messages.Since(tx, a.ID, now.Add(-hour), d.Limits.PerHour)
	if err != nil {
		return err
	}
	// Those of the future were sent by a clock that has been put back since.
	recent = slices.DeleteFunc(recent, func(m messages.Text) bool { return m.Created.After(now) })
	if n := len(recent); n > 0 && underWay(recent[n-1]) && now.Sub(recent[n-1].Created) < pause {
		return &RefusedError{Why: ErrPause, Until: recent[n-1].Created.Add(pause)}
	}
	if len(recent) >= d.Limits.PerHour {
		return &RefusedError{Why: ErrHour, Until: recent[0].Created.Add(hour)}
	}
	return nil
}

// underWay tells whether a text message may still be on its way: its PIN did not come back, and somebody took it.
func underWay(t messages.Text) bool {
	return !t.Answered && (t.Provider != "" || t.State != receipt.Undelivered)
}

// countries are those of an installation that a firm has not left out.
func (d *Desk) countries(s messages.Settings) []string {
	if len(s.SMSCountries) == 0 {
		return d.Limits.Countries
	}
	return slices.DeleteFunc(slices.Clone(s.SMSCountries), func(c string) bool { return !slices.Contains(d.Limits.Countries, c) })
}

// perDay is the bound of a firm for a day. A firm may set a lower one than the installation's, not a higher one.
func (d *Desk) perDay(s messages.Settings) int {
	if s.SMSPerDay > 0 {
		return min(s.SMSPerDay, d.Limits.PerDay)
	}
	return d.Limits.PerDay
}

// Count counts a text message with a PIN to a mobile of an account. Challenge is the hash of the challenge it is for, nil for
// none; it is of no use after life. The error is a *RefusedError when no message may be sent.
func (d *Desk) Count(tx *sqldb.Tx, a account.Account, mobile string, challenge []byte, life time.Duration) (Ticket, error) {
	return d.count(tx, messages.Text{Account: a.ID, Firm: a.Firm, Challenge: challenge}, a, mobile, life)
}

// noticeLife is how long a notice is worth sending.
const noticeLife = 24 * time.Hour

// CountNotice counts a text message that nobody answers, for the firm and its day alone. What the account may have does not
// bound it, since each follows a change that is bounded itself, and it takes no PIN from the account: it is written down as
// one of no account.
func (d *Desk) CountNotice(tx *sqldb.Tx, a account.Account, mobile string) (Ticket, error) {
	return d.count(tx, messages.Text{Firm: a.Firm, Answered: true}, a, mobile, noticeLife)
}

func (d *Desk) count(tx *sqldb.Tx, row messages.Text, a account.Account, mobile string, life time.Duration) (Ticket, error) {
	settings, err := d.check(tx, a, mobile, row.Answered)
	if err != nil {
		return Ticket{}, err
	}
	now := d.Now()
	t := Ticket{id: uuid.Must(uuid.NewV7()).String(), to: mobile, from: settings.SMSSender, expires: now.Add(life)}
	row.ID, row.Block, row.Created = t.id, blockOf(mobile), now
	if err := messages.Insert(tx, row); err != nil {
		return Ticket{}, err
	}
	sent, ok, err := messages.CountDay(tx, a.Firm, now, d.perDay(settings))
	switch {
	case err != nil:
		return Ticket{}, err
	case !ok:
		return Ticket{}, &RefusedError{Why: ErrDay}
	case sent == d.perDay(settings):
		t.alarms = append(t.alarms, alarm{kind: "text_messages.day_full", firm: a.Firm})
	}
	stopped, err := d.stop(tx, row.Block, now)
	if err != nil {
		return Ticket{}, err
	}
	if stopped {
		t.alarms = append(t.alarms, alarm{kind: "text_messages.block_stopped", block: row.Block})
	}
	for _, alarm := range t.alarms {
		if err := d.record(tx, alarm, now); err != nil {
			return Ticket{}, err
		}
	}
	return t, nil
}

// stop stops a block of numbers when too many accounts were sent a PIN there and came back with none. It answers true when
// it did so now. The message that tips the scales is still sent: whoever is refused would roll the alarm back.
func (d *Desk) stop(tx *sqldb.Tx, block string, now time.Time) (bool, error) {
	silent, err := messages.Unanswered(tx, block, now.Add(-blockWindow), d.Limits.BlockAccounts)
	if err != nil || silent < d.Limits.BlockAccounts {
		return false, err
	}
	return messages.Stop(tx, block, now, now.Add(d.Limits.StopFor))
}

// blockOf is a number in E.164 form without its last digits.
func blockOf(mobile string) string { return mobile[:max(len(mobile)-blockDigits, 0)] }

// raise makes the alarms of a ticket heard, once its transaction is committed.
func (d *Desk) raise(ctx context.Context, t Ticket) {
	for _, alarm := range t.alarms {
		d.Logger.ErrorContext(ctx, "text messages reached a bound; somebody may be making money of them", "alarm", alarm.kind,
			"firm", alarm.firm, "block", mask(alarm.block))
		d.add(ctx, func(c *Counts) metric.Int64Counter { return c.alarms }, attribute.String("alarm", alarm.kind))
	}
}

// mask shows a block as numbers begin, with the digits that are left out.
func mask(block string) string {
	if block == "" {
		return ""
	}
	return block + strings.Repeat("*", blockDigits)
}

// record puts an alarm into the ledger: of the firm it is about, or of the installation.
func (d *Desk) record(tx *sqldb.Tx, a alarm, now time.Time) error {
	e := &auditeventsv1.AuditEntry{
		EntryId: uuid.Must(uuid.NewV7()).String(), Service: "auth", Kind: optionsv1.AuditKind_AUDIT_KIND_CHANGE, Firm: a.firm,
		OccurredAt: timestamppb.New(now), ActorKind: access.Service, Actor: "auth", Action: a.kind, Permission: "delivery.bound", Success: true,
	}
	if a.firm != "" {
		e.Resource = names.Format(SettingsName, a.firm)
	} else if a.block != "" {
		e.Resource = "numbers/" + mask(a.block)
	}
	_, err := events.Add(tx, events.Event{Firm: a.firm, Message: &auditeventsv1.AuditRecorded{Entries: []*auditeventsv1.AuditEntry{e}}})
	return err
}

// SettingsName is the pattern of the resource name of a firm's message settings.
const SettingsName = store.FirmName + "/messageSettings"
