package auth_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// Nobody is vouched for as a contact while it is not known whether the contact was removed: before the client list was heard
// at all, and when it has not been heard for half a minute. Staff are not concerned.
func TestContactsAreRefusedWhileTheClientListIsNotHeard(t *testing.T) {
	eachOnBus(t, func(t *testing.T, s *suite, js jetstream.JetStream) {
		admin := s.newFirm(s.operator(), "Harbour Tax", "ada@harbour.example", "")
		s.inbox.seen()
		_, err := s.inviteContact(admin, newContact(admin.firm), "cleo@client.example")
		require.NoError(t, err)
		cleo := &person{email: "cleo@client.example", firm: admin.firm}
		s.accept(cleo)
		s.signInAs(cleo)
		resolve := func() error { _, err := s.resolve(cleo.token, "documents"); return err }
		is(t, resolve(), codes.Unavailable, authv1.ErrorReason_ERROR_REASON_CONTACT_UNCONFIRMED)

		list := sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), events.Schema)
		ctx, silence := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- events.NewRelay(list, js, "sync", events.RelayOptions{}).Run(ctx) }()
		eventstest.Until(t, "the client list is heard", func() bool { return resolve() == nil })
		silence()
		<-done
		s.clock.forward(20 * time.Second)
		require.NoError(t, resolve())
		s.clock.forward(11 * time.Second)
		is(t, resolve(), codes.Unavailable, authv1.ErrorReason_ERROR_REASON_CONTACT_UNCONFIRMED)
		_, err = s.resolve(admin.token, "documents")
		require.NoError(t, err)

		newPeer(t, js, "sync")
		eventstest.Until(t, "the client list is heard again", func() bool { return resolve() == nil })
	})
}
