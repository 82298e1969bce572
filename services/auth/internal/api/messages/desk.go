// Package messages sends the messages somebody waits for, PINs above all, and keeps what they cost within bounds.
//
// A text message is counted in the transaction of what it is for and sent after its commit, so that of any number of
// requests at once no more are sent than are allowed. What is counted is never more precise than it must be: of the number
// there remains a block of a thousand. What providers report later finds its message by an id of ours.
package messages

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/delivery"
	"github.com/concord-suite/concord/services/auth/internal/receipt"
	"github.com/concord-suite/concord/services/auth/internal/store/messages"
	"github.com/concord-suite/concord/services/auth/internal/texts"
)

// Desk sends messages. Its fields are set once, before use.
type Desk struct {
	DB *sqldb.DB
	// SMS and Mail may be nil: then that way does not exist.
	SMS    *delivery.SMS
	Mail   *delivery.Mail
	Texts  *texts.Book
	Limits Limits
	Now    func() time.Time
	Logger *slog.Logger
	// Counts may be nil: then nothing is measured.
	Counts *Counts
}

// Counts are the measures of text messages. No attribute of theirs says to whom.
type Counts struct {
	attempts, reports, refused, alarms metric.Int64Counter
}

// NewCounts makes the measures.
func NewCounts(m metric.Meter) *Counts {
	counter := func(name, about string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithDescription(about))
		if err != nil {
			return noop.Int64Counter{}
		}
		return c
	}
	return &Counts{
		attempts: counter("concord.auth.text_attempts", "Text messages handed to a provider, by provider and outcome."),
		reports:  counter("concord.auth.text_reports", "Reports about text messages, by provider and state."),
		refused:  counter("concord.auth.texts_refused", "Text messages not sent because of a bound, by the bound."),
		alarms:   counter("concord.auth.text_alarms", "Bounds of text messages reached that somebody should look into."),
	}
}

// add counts one.
func (d *Desk) add(ctx context.Context, which func(*Counts) metric.Int64Counter, attributes ...attribute.KeyValue) {
	if d.Counts != nil {
		which(d.Counts).Add(ctx, 1, metric.WithAttributes(attributes...))
	}
}

// Text sends the text message of a ticket whose transaction is committed, by the first provider that takes it.
func (d *Desk) Text(ctx context.Context, t Ticket, body string) error {
	d.raise(ctx, t)
	provider, message, err := d.SMS.Send(ctx, delivery.Text{
		ID: t.id, To: t.to, From: t.from, Body: body, Expires: t.expires,
	}, func(a delivery.Attempt) { d.observe(ctx, a) })
	d.note(ctx, t, provider, message, err)
	return err
}

// observe says that a provider did not take a message. Neither number nor text is part of it.
func (d *Desk) observe(ctx context.Context, a delivery.Attempt) {
	outcome := "taken"
	if a.Code != "" {
		outcome = a.Code
		d.Logger.WarnContext(ctx, "a provider did not take a text message", "provider", a.Provider, "code", a.Code, "next", a.Next)
	}
	d.add(ctx, func(c *Counts) metric.Int64Counter { return c.attempts },
		attribute.String("provider", a.Provider), attribute.String("outcome", outcome))
}

// note writes down who took a message. It is for the reports; what went wrong with it is no reason to fail a sign-in.
func (d *Desk) note(ctx context.Context, t Ticket, provider, message string, failure error) {
	ctx = context.WithoutCancel(ctx)
	err := d.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		row, err := messages.ByID(tx, t.id)
		if err != nil {
			return err
		}
		switch {
		case row.State == receipt.Delivered: // reported before the answer was read
		case failure != nil:
			row.State, row.Code = receipt.Undelivered, delivery.Code(failure)
		case row.Provider != provider || row.State == receipt.Unknown:
			row.State, row.Code = receipt.Sent, ""
		}
		if failure == nil {
			row.Provider, row.Message = provider, message
		}
		return messages.Update(tx, row)
	})
	if err != nil {
		d.Logger.WarnContext(ctx, "reports about a text message may not be understood", "message", t.id, "error", err)
	}
}

// PIN sends a PIN by text message.
func (d *Desk) PIN(ctx context.Context, t Ticket, a account.Account, f account.Firm, pin string, life time.Duration) error {
	body, err := d.Texts.PINText(f.DisplayName, a.DisplayName, pin, life)
	if err != nil {
		return err
	}
	return d.Text(ctx, t, body)
}

// MailPIN sends a PIN by e-mail.
func (d *Desk) MailPIN(ctx context.Context, a account.Account, f account.Firm, pin string, life time.Duration) error {
	m, err := d.Texts.PINMail(f.DisplayName, a.DisplayName, pin, life)
	if err != nil {
		return err
	}
	l := delivery.Letter{To: a.Email, Subject: m.Subject, Text: m.Text}
	err = d.DB.Read(ctx, func(tx *sqldb.Tx) error { return Dress(tx, a.Firm, &l) })
	if err != nil {
		return err
	}
	return d.Mail.Send(ctx, l)
}

// State is how far the last text message of a challenge got; Unknown when it has none.
func State(tx *sqldb.Tx, challenge []byte) (receipt.State, error) {
	t, err := messages.LastOf(tx, challenge)
	if errors.Is(err, sqldb.ErrNotFound) {
		return receipt.Unknown, nil
	}
	return t.State, err
}

// Answered notes that a PIN sent to the mobile of an account came back: whoever has the mobile asked for it.
func Answered(tx *sqldb.Tx, account string) error { return messages.Answer(tx, account) }

// Receive takes a provider's report about a text message. The error is delivery.ErrProvider, ErrSignature or ErrReport for
// one that is not believed. What says nothing new, and what is about a message long forgotten, changes nothing.
func (d *Desk) Receive(ctx context.Context, provider string, r delivery.Report) error {
	if d.SMS == nil {
		return delivery.ErrProvider
	}
	said, err := d.SMS.Read(provider, r)
	if err != nil {
		return err
	}
	changed := false
	err = d.DB.Tx(ctx, func(tx *sqldb.Tx) error {
		row, err := find(tx, provider, said)
		if err != nil {
			return err
		}
		row, changed = apply(row, provider, said)
		if !changed {
			return nil
		}
		return messages.Update(tx, row)
	})
	if errors.Is(err, sqldb.ErrNotFound) {
		return nil
	}
	if err != nil || !changed {
		return err
	}
	word := stateWords[said.State]
	d.add(ctx, func(c *Counts) metric.Int64Counter { return c.reports }, attribute.String("provider", provider), attribute.String("state", word))
	if said.State == receipt.Undelivered {
		d.Logger.WarnContext(ctx, "a text message did not arrive", "provider", provider, "code", said.Code)
	}
	return nil
}

// stateWords are the states in measures.
var stateWords = map[receipt.State]string{receipt.Sent: "sent", receipt.Delivered: "delivered", receipt.Undelivered: "undelivered"}

// find looks for the message of a report: by our id, or by the provider's.
func find(tx *sqldb.Tx, provider string, said delivery.Status) (messages.Text, error) {
	if said.ID != "" {
		return messages.ByID(tx, said.ID)
	}
	return messages.ByMessage(tx, provider, said.Message)
}

// apply is a message after a report. Reports come in any order and more than once: a state only ever rises.
func apply(t messages.Text, provider string, said delivery.Status) (messages.Text, bool) {
	switch {
	case said.State <= t.State:
		return t, false
	case t.Provider == provider && t.Message != "" && said.Message != "" && t.Message != said.Message:
		return t, false // about another message than the one it took
	case t.Provider != "" && t.Provider != provider && said.State != receipt.Delivered:
		return t, false // another provider has taken it since; that it arrived nevertheless is worth knowing
	}
	t.Provider, t.State, t.Code = provider, said.State, said.Code
	if said.Message != "" {
		t.Message = said.Message
	}
	return t, true
}
