package auth_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

// offers makes setup codes at the same time, as replicas do that start together.
func (s *suite) offers(n int) []string {
	s.t.Helper()
	made := make([]string, n)
	var replicas errgroup.Group
	for i := range made {
		replicas.Go(func() (err error) {
			made[i], err = s.service.SetupCode(s.t.Context())
			return err
		})
	}
	require.NoError(s.t, replicas.Wait())
	return made
}

// claim tries a setup code.
func (s *suite) claim(code string) error {
	_, err := s.signIn.ClaimInstallation(s.nobody(""), &authv1.ClaimInstallationRequest{
		SetupCode: code, Email: "olive@host.example", Password: passphrase, DisplayName: "Olive",
	})
	return err
}

func claimed(t testing.TB, err error) {
	t.Helper()
	is(t, err, codes.FailedPrecondition, authv1.ErrorReason_ERROR_REASON_ALREADY_CLAIMED)
}

// Whichever replica somebody looks at, the code it printed is a right one; the first that is used voids all others.
func TestEachSetupCodeIsRight(t *testing.T) {
	const replicas = 6
	for _, which := range []int{0, replicas - 1} {
		t.Run(fmt.Sprint("the code of replica ", which), func(t *testing.T) {
			each(t, options{}, func(t *testing.T, s *suite) {
				printed := s.offers(replicas)
				require.NoError(t, s.claim(printed[which]))
				for _, code := range printed {
					claimed(t, s.claim(code))
				}
				// The operator mistyped the address: the codes of the next starts count, those of before do not any more.
				again := s.offers(2)
				for _, code := range printed {
					claimed(t, s.claim(code))
				}
				require.NoError(t, s.claim(again[1]))
				claimed(t, s.claim(again[0]))
			})
		})
	}
}

func TestSetupCodesExpire(t *testing.T) {
	t.Run("the earlier of two", func(t *testing.T) {
		each(t, options{}, func(t *testing.T, s *suite) {
			early := s.offers(1)[0]
			s.clock.forward(48 * time.Hour)
			late := s.offers(1)[0]
			s.clock.forward(24*time.Hour + time.Second)
			claimed(t, s.claim(early))
			require.NoError(t, s.claim(late))
		})
	})
	t.Run("the only one", func(t *testing.T) {
		each(t, options{}, func(t *testing.T, s *suite) {
			only := s.offers(1)[0]
			s.clock.forward(72*time.Hour + time.Second)
			claimed(t, s.claim(only))
			require.NoError(t, s.claim(s.offers(1)[0]), "the next start makes one that counts")
		})
	})
}

// A replica that starts between the claim and the first sign-in prints a code, too: it is nobody's once the operator is in.
func TestNoSetupCodeOutlivesTheOperatorsSignIn(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		require.NoError(t, s.claim(s.offers(1)[0]))
		between := s.offers(1)[0]
		s.signInAs(&person{email: "olive@host.example"})
		claimed(t, s.claim(between))
		require.Empty(t, s.offers(1)[0])
	})
}

// A replica of the release before keeps the one code it printed where it always did. It counts beside those of newer ones.
func TestSetupCodesOfTheReleaseBeforeCount(t *testing.T) {
	const code = "cst_printed-by-an-older-replica"
	older := func(t *testing.T, s *suite) {
		t.Helper()
		hash := sha256.Sum256([]byte(code))
		require.NoError(t, s.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE installation SET code_hash = $1, created_at = $2, claimed_at = 0`, hash[:], sqldb.Micros(s.clock.Now()))
			return err
		}))
	}
	t.Run("the older one is used", func(t *testing.T) {
		each(t, options{}, func(t *testing.T, s *suite) {
			newer := s.offers(1)[0]
			older(t, s)
			require.NoError(t, s.claim(code))
			claimed(t, s.claim(newer))
		})
	})
	t.Run("the newer one is used", func(t *testing.T) {
		each(t, options{}, func(t *testing.T, s *suite) {
			newer := s.offers(1)[0]
			older(t, s)
			require.NoError(t, s.claim(newer))
			claimed(t, s.claim(code))
		})
	})
	// Claimed at the older replica, which knows nothing of other codes: they do not come back with the next offer.
	t.Run("the older replica claims", func(t *testing.T) {
		each(t, options{}, func(t *testing.T, s *suite) {
			newer := s.offers(1)[0]
			require.NoError(t, s.db.Tx(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(`UPDATE installation SET claimed_at = $1`, sqldb.Micros(s.clock.Now()))
				return err
			}))
			claimed(t, s.claim(newer))
			s.offers(1)
			claimed(t, s.claim(newer))
		})
	})
}

func TestSetupCodesAreKeptHashed(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		printed := s.offers(2)
		require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			kept, err := sqldb.Collect(tx, func(r *sqldb.Rows) (hash []byte, err error) { return hash, r.Scan(&hash) }, `SELECT code_hash FROM setup_codes`)
			require.Len(t, kept, 2)
			for _, code := range printed {
				hash := sha256.Sum256([]byte(code))
				require.Contains(t, kept, hash[:])
			}
			return err
		}))
	})
}
