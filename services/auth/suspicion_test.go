package auth_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/sim/world"
)

// suspicions are the notices somebody got that others may be trying to sign in.
func (s *suite) suspicions(to string) (texts []string) {
	s.inbox.store.View(func(st *world.State) {
		for _, m := range st.Messages.All() {
			if m.To == to && strings.Contains(m.Subject, "may be trying") {
				texts = append(texts, m.Text)
			}
		}
	})
	return texts
}

// N43: many wrong passwords are told, once, not each; so a stranger fills nobody's mailbox.
func TestN43_ManyWrongPasswordsAreToldOnce(t *testing.T) {
	s := onSQLite(t, options{run: true})
	admin := s.textFirm("ada@harbour.example")
	guess := func(i int) {
		from := fmt.Sprintf("198.51.%d.%d", 100+i/200, 1+i%200) // an origin each, so that none has to wait
		_, err := s.signIn.StartSignIn(s.nobody(from), &authv1.StartSignInRequest{Email: admin.email, Password: "not the passphrase"})
		require.Error(t, err)
	}
	for i := range 99 {
		guess(i)
	}
	require.Empty(t, s.suspicions(admin.email))
	s.inbox.seen()
	guess(99)
	require.Contains(t, s.inbox.next(admin.email).Text, "hundred wrong passwords")
	s.clock.forward(time.Minute)
	guess(100)
	require.Len(t, s.suspicions(admin.email), 1)
}

// N43: who enters wrong codes has shown the right password: its holder is told early.
func TestN43_WrongCodesAfterARightPasswordAreTold(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		admin := s.textFirm("ada@harbour.example")
		c := s.begin(admin)
		pin := s.inbox.pin(admin.mobile)
		for range 4 {
			_, err := s.verify(c.GetChallenge(), wrong(pin))
			require.Error(t, err)
		}
		require.Empty(t, s.suspicions(admin.email), "people mistype")
		s.inbox.seen()
		_, err := s.verify(c.GetChallenge(), wrong(pin))
		require.Error(t, err)
		text := s.inbox.next(admin.email).Text
		require.Contains(t, text, "Somebody who knows your password entered five wrong codes")
		require.Contains(t, text, "192.0.2.7")
	})
}
