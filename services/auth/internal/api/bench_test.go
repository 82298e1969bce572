package api

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	"github.com/concord-suite/concord/platform/vault"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/issuer"
	"github.com/concord-suite/concord/services/auth/internal/api/messages"
	"github.com/concord-suite/concord/services/auth/internal/api/signin"
	"github.com/concord-suite/concord/services/auth/internal/factor"
	"github.com/concord-suite/concord/services/auth/internal/password"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

const benchPassword = "ramp lunar tightly"

// bench is a server with many accounts, each signed in.
type bench struct {
	*Server
	tokens []string
	emails []string
}

func newBench(b *testing.B, engine sqldb.Dialect, people int) *bench {
	b.Helper()
	db := sqldbtest.Open(b, sqldbtest.URL(b, engine), sqldb.Join(events.Schema, idem.Schema, store.Migrations))
	ring, err := vault.OpenOrCreate(filepath.Join(b.TempDir(), "keyring.json"))
	require.NoError(b, err)
	quiet := slog.New(slog.DiscardHandler)
	keys := issuer.New(db, ring, time.Now, time.Hour, quiet)
	require.NoError(b, keys.Refresh(b.Context()))
	hasher := password.NewHasher(2 * runtime.NumCPU())
	s := &bench{Server: &Server{
		DB: db, Vault: ring, Hasher: hasher, Issuer: keys, Now: time.Now, Logger: quiet,
		SignIn: &signin.Service{DB: db, Hasher: hasher, Vault: ring, Now: time.Now, Messages: &messages.Desk{Now: time.Now}, Logger: quiet},
	}}
	salt := password.NewSalt()
	var hashed string
	require.NoError(b, hasher.Do(b.Context(), func(slot *password.Slot) error { hashed = slot.Hash(benchPassword, salt); return nil }))
	now := time.Now()
	firm := account.Firm{ID: "f", DisplayName: "Bench", Created: now, EmailPIN: true, Revision: 1}
	require.NoError(b, db.Tx(b.Context(), func(tx *sqldb.Tx) error {
		s.tokens, s.emails = nil, nil
		if err := store.InsertFirm(tx, firm, store.PolicyChange{At: now, Cause: store.PolicyMade}); err != nil {
			return err
		}
		for i := range people {
			if err := s.add(tx, i, firm, salt, hashed, now); err != nil {
				return err
			}
		}
		return nil
	}))
	return s
}

func (s *bench) add(tx *sqldb.Tx, i int, f account.Firm, salt []byte, hashed string, now time.Time) error {
	a := account.Account{
		ID: fmt.Sprintf("account-%d", i), Firm: f.ID, Kind: account.Staff, Role: account.Member, State: account.Active,
		Email: fmt.Sprintf("p%d@bench.example", i), DisplayName: "Person", Password: hashed, Created: now, Revision: 1,
	}
	if _, err := store.Salt(tx, a.Email, salt); err != nil {
		return err
	}
	if _, err := store.InsertAccount(tx, a); err != nil {
		return err
	}
	token, hash := session.NewToken(session.ForPerson)
	s.tokens, s.emails = append(s.tokens, token), append(s.emails, a.Email)
	return store.InsertSession(tx, hash, session.Session{
		ID: fmt.Sprintf("session-%d", i), Firm: f.ID, Account: a.ID, Kind: session.Person, Strength: session.Strong,
		Methods: []string{"pwd"}, Created: now, Expires: now.Add(session.Life), Used: now,
	})
}

// BenchmarkSession compares a session check with the same look-up without any of its rules, in the same store. Every
// session was looked up once before, as it is when somebody signs in.
func BenchmarkSession(b *testing.B) {
	for _, engine := range sqldbtest.Engines() {
		s := newBench(b, engine, 10_000)
		for _, token := range s.tokens {
			_, _, err := s.Check(b.Context(), token)
			require.NoError(b, err)
		}
		b.Run(string(engine), func(b *testing.B) {
			inTurn(b, func(i int) error {
				hash := session.Hash(s.tokens[i%len(s.tokens)])
				var id string
				return s.DB.QueryRow(context.Background(), `SELECT account FROM sessions WHERE token_hash = $1`, hash).Scan(&id)
			}, func(i int) error {
				_, _, err := s.Check(context.Background(), s.tokens[i%len(s.tokens)])
				return err
			})
		})
	}
}

// BenchmarkSignIn compares signing in by password with computing the hash alone.
func BenchmarkSignIn(b *testing.B) {
	for _, engine := range sqldbtest.Engines() {
		s := newBench(b, engine, 64)
		b.Run(string(engine), func(b *testing.B) {
			salt := password.NewSalt()
			inTurn(b, func(int) error {
				argon2.IDKey([]byte(benchPassword), salt, password.Current.Time, password.Current.Memory, password.Current.Threads, 32)
				return nil
			}, func(i int) error {
				_, err := s.SignIn.Start(context.Background(), signin.Credentials{
					Email: s.emails[i%len(s.emails)], Password: benchPassword, Address: "192.0.2.7",
				})
				return err
			})
		})
	}
}

// BenchmarkSignInThroughput compares how many people sign in by password in a time with how many hashes are computed, with
// as many at work at once as the service lets hash. One waits for the disk while another hashes, as in a service.
func BenchmarkSignInThroughput(b *testing.B) {
	workers := 2 * runtime.NumCPU()
	for _, engine := range sqldbtest.Engines() {
		s := newBench(b, engine, 64)
		b.Run(string(engine), func(b *testing.B) {
			salt := password.NewSalt()
			var n atomic.Int64
			batch := func(one func(i int) error) time.Duration {
				var group sync.WaitGroup
				begun := time.Now()
				for range workers {
					group.Go(func() {
						for range 4 { // enough that the end, when some have nothing left to do, weighs little
							if err := one(int(n.Add(1))); err != nil {
								b.Error(err)
							}
						}
					})
				}
				group.Wait()
				return time.Since(begun)
			}
			var bare, whole time.Duration
			for b.Loop() {
				bare += batch(func(int) error {
					argon2.IDKey([]byte(benchPassword), salt, password.Current.Time, password.Current.Memory, password.Current.Threads, 32)
					return nil
				})
				whole += batch(func(i int) error {
					_, err := s.SignIn.Start(context.Background(), signin.Credentials{
						Email: s.emails[i%len(s.emails)], Password: benchPassword, Address: "192.0.2.7",
					})
					return err
				})
			}
			b.ReportMetric(float64(4*workers*b.N)/whole.Seconds(), "sign-ins/s")
			b.ReportMetric(bare.Seconds()/whole.Seconds(), "of-bare")
		})
	}
}

// BenchmarkWrongPIN is the check of a PIN: the look at the challenge, the comparison, the count, the commit.
func BenchmarkWrongPIN(b *testing.B) {
	for _, engine := range sqldbtest.Engines() {
		s := newBench(b, engine, 1)
		b.Run(string(engine), func(b *testing.B) {
			id, hash := session.NewToken(session.ForChallenge)
			mac, err := s.Vault.MAC([]byte("123456"), vault.Row{Firm: "f", Table: "challenges", ID: fmt.Sprintf("%x", hash), Column: "sms_mac"})
			require.NoError(b, err)
			reset := func(tx *sqldb.Tx) error {
				_, err := tx.Exec(`UPDATE accounts SET pin_failures = 0, pin_blocked_until = 0`)
				if err == nil {
					_, err = tx.Exec(`UPDATE challenges SET failures = 0`)
				}
				return err
			}
			require.NoError(b, s.DB.Tx(b.Context(), func(tx *sqldb.Tx) error {
				return store.InsertChallenge(tx, store.Challenge{
					Hash: hash, Account: "account-0", Channel: factor.SMS, SMSMAC: mac, Created: time.Now(), Expires: time.Now().Add(time.Hour),
				})
			}))
			for b.Loop() {
				_, err := s.SignIn.Verify(context.Background(), signin.Answer{Challenge: id, PIN: "654321"})
				require.ErrorIs(b, err, signin.ErrRefused)
				b.StopTimer()
				require.NoError(b, s.DB.Tx(b.Context(), reset))
				b.StartTimer()
			}
		})
	}
}

// inTurn runs a bare thing and the whole one in turn on as many goroutines as there are cores, so that both meet the same
// machine, whatever else it does. It reports the middle of each, and the bare one's as a part of the whole one's.
func inTurn(b *testing.B, bare, whole func(i int) error) {
	var n atomic.Int64
	var mu sync.Mutex
	var took [2][]float64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var mine [2][]float64
		for pb.Next() {
			i := int(n.Add(1))
			for turn := range 2 {
				which := (i + turn) % 2 // neither is always the one that finds the caches warm
				begun := time.Now()
				if err := [...]func(int) error{bare, whole}[which](i); err != nil {
					b.Error(err)
					return
				}
				mine[which] = append(mine[which], float64(time.Since(begun).Nanoseconds())/1e3)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for which := range took {
			took[which] = append(took[which], mine[which]...)
		}
	})
	var middle [2]float64
	for which := range took {
		slices.Sort(took[which])
		middle[which] = took[which][len(took[which])/2]
	}
	b.ReportMetric(middle[0], "bare-µs")
	b.ReportMetric(middle[1], "whole-µs")
	b.ReportMetric(middle[0]/middle[1], "of-bare")
}
