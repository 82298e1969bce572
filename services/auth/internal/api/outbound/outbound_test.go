package outbound

import (
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/delivery"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/world"
)

type post struct {
	t      *testing.T
	sender *Sender
	world  *world.Store
	now    time.Time
	host   string
	port   int
}

func each(t *testing.T, fn func(t *testing.T, p *post)) {
	sqldbtest.Each(t, store.Migrations, func(t *testing.T, db *sqldb.DB) {
		w, err := world.Open("", time.Now)
		require.NoError(t, err)
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		box := sinks.ServeMail(t.Context(), lis, sinks.NewInbox(w), faults.New(w))
		t.Cleanup(func() { _ = box.Close() })
		ring, err := vault.OpenOrCreate(filepath.Join(t.TempDir(), "keyring.json"))
		require.NoError(t, err)
		p := &post{t: t, world: w, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), host: "127.0.0.1", port: lis.Addr().(*net.TCPAddr).Port}
		p.sender = &Sender{
			DB: db, Vault: ring, Now: func() time.Time { return p.now }, Logger: slog.New(slog.DiscardHandler),
			Mail: delivery.NewMail(delivery.MailOptions{
				Host: "127.0.0.1", Port: lis.Addr().(*net.TCPAddr).Port, Security: delivery.Plain, From: "concord@host.example",
				Timeout: 5 * time.Second,
			}),
		}
		fn(t, p)
	})
}

func (p *post) queue(to string) {
	p.t.Helper()
	require.NoError(p.t, p.sender.DB.Tx(p.t.Context(), func(tx *sqldb.Tx) error {
		return Queue(tx, p.sender.Vault, Message{Firm: "f", Recipient: to, Subject: "Hello", Text: "the secret code"}, p.now)
	}))
}

func (p *post) pass() {
	p.t.Helper()
	_, err := p.sender.Pass(p.t.Context())
	require.NoError(p.t, err)
}

func (p *post) arrived() (n int) {
	p.world.View(func(s *world.State) {
		for range s.Messages.All() {
			n++
		}
	})
	return n
}

func (p *post) reject(times, code int) {
	p.t.Helper()
	rule := &world.DeliveryRule{ID: "1", Channel: "mail", To: "*", Result: "reject", Code: code, Times: times}
	require.NoError(p.t, p.world.Update(func(tx *world.Tx) error { tx.Deliveries.Put(tx, rule.ID, rule); return nil }))
}

// row is what the database holds of the one e-mail.
func (p *post) row() (sealed []byte, finished int64, failure string) {
	p.t.Helper()
	require.NoError(p.t, p.sender.DB.Read(p.t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT sealed, finished_at, failure FROM deliveries`).Scan(&sealed, &finished, &failure)
	}))
	return sealed, finished, failure
}

func TestQueuedMailIsSealedSentOnceAndDestroyed(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		p.queue("mo@harbour.example")
		sealed, _, _ := p.row()
		require.NotContains(t, string(sealed), "secret code")
		p.pass()
		p.pass()
		require.Equal(t, 1, p.arrived())
		sealed, finished, failure := p.row()
		require.Empty(t, sealed)
		require.NotZero(t, finished)
		require.Empty(t, failure)
	})
}

func TestRefusedForNowIsTriedAgainLater(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		p.reject(2, 451)
		p.queue("mo@harbour.example")
		p.pass()
		p.pass() // not yet due
		require.Zero(t, p.arrived())
		for _, wait := range []time.Duration{15 * time.Second, 30 * time.Second} {
			p.now = p.now.Add(wait)
			p.pass()
		}
		require.Equal(t, 1, p.arrived())
	})
}

func TestRefusedForGoodIsGivenUp(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		p.reject(1, 550)
		p.queue("mo@harbour.example")
		p.pass()
		_, finished, failure := p.row()
		require.NotZero(t, finished)
		require.Equal(t, "smtp_550", failure)
		p.now = p.now.Add(time.Hour)
		p.pass()
		require.Zero(t, p.arrived())
	})
}

func TestAClaimOfADeadReplicaIsTakenOver(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		p.queue("mo@harbour.example")
		require.NoError(t, p.sender.DB.Tx(t.Context(), func(tx *sqldb.Tx) error {
			claimed, err := store.ClaimDeliveries(tx, p.now, p.now.Add(claimFor), batch) // and then it dies
			require.Len(t, claimed, 1)
			return err
		}))
		p.pass()
		require.Zero(t, p.arrived(), "it may still be sending")
		p.now = p.now.Add(claimFor)
		p.pass()
		require.Equal(t, 1, p.arrived())
	})
}

// An e-mail that its server never takes, and one it takes long about, hold up no other.
func TestAPoisonousMailHoldsUpNoOther(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		rule := &world.DeliveryRule{ID: "1", Channel: "mail", To: "poison@harbour.example", Result: "reject", Code: 451}
		require.NoError(t, p.world.Update(func(tx *world.Tx) error { tx.Deliveries.Put(tx, rule.ID, rule); return nil }))
		p.queue("poison@harbour.example")
		p.pass()
		for i := range 3 {
			p.now = p.now.Add(time.Minute)
			p.queue("mo@harbour.example")
			p.pass()
			require.Equal(t, i+1, p.arrived())
		}
		require.Equal(t, 1, p.waiting())
		p.now = p.now.Add(giveUpAfter + time.Hour)
		p.pass()
		require.Zero(t, p.waiting(), "and it is given up some day")
	})
}

func TestAFrozenMailServerIsTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, p *post) {
		p.sender.Mail = delivery.NewMail(delivery.MailOptions{
			Host: p.host, Port: p.port, Security: delivery.Plain, From: "concord@host.example", Timeout: 200 * time.Millisecond,
		})
		fault := &world.Fault{ID: "1", Kind: faults.Frozen, Path: "smtp/data", Count: 1}
		require.NoError(t, p.world.Update(func(tx *world.Tx) error { tx.Faults.Put(tx, fault.ID, fault); return nil }))
		p.queue("mo@harbour.example")
		p.pass()
		_, finished, failure := p.row()
		require.Zero(t, finished)
		require.Equal(t, "timeout", failure)
		p.now = p.now.Add(firstRetry)
		p.pass()
		require.Equal(t, 1, p.arrived())
	})
}

// waiting is how many e-mails are on their way.
func (p *post) waiting() (n int) {
	p.t.Helper()
	require.NoError(p.t, p.sender.DB.Read(p.t.Context(), func(tx *sqldb.Tx) (err error) {
		n, err = store.DeliveriesWaiting(tx)
		return err
	}))
	return n
}
