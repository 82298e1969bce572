package store_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

var (
	noon       = time.Date(2026, 3, 2, 12, 0, 0, 123456000, time.UTC)
	migrations = sqldb.Join(events.Schema, store.Migrations)
)

// fill gives every field of a struct a value of its own, so that a column forgotten in a statement shows. Fields whose
// value was set before are left.
func fill(v reflect.Value, n *int) {
	if _, isTime := v.Interface().(time.Time); !v.IsZero() && (isTime || v.Kind() != reflect.Struct) {
		return
	}
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(noon.Add(time.Duration(*n) * time.Second)))
		return
	case []byte:
		v.SetBytes(fmt.Appendf(nil, "bytes %d", *n))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("a kind of field the test does not know: " + v.Kind().String())
	}
}

func filled[T any](v T) T {
	n := 0
	fill(reflect.ValueOf(&v).Elem(), &n)
	return v
}

func write(t *testing.T, db *sqldb.DB, fn func(tx *sqldb.Tx) error) {
	t.Helper()
	require.NoError(t, db.Tx(t.Context(), fn))
}

func TestRowsComeBackAsTheyWere(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		ref := connection.Ref{Firm: "firm", ID: uuid.NewString()}
		attempt := filled(store.Attempt{Attempt: connection.Attempt{Ref: ref}})
		write(t, db, func(tx *sqldb.Tx) error { return store.InsertAttempt(tx, attempt) })
		write(t, db, func(tx *sqldb.Tx) error {
			got, err := store.AttemptByID(tx, ref, true)
			require.Equal(t, attempt, got)
			return err
		})
		changed := attempt
		changed.State, changed.Error, changed.Tokens = connection.Listing, "changed", store.Sealed{Text: []byte{0, 1}, Key: "k"}
		write(t, db, func(tx *sqldb.Tx) error { return store.UpdateAttempt(tx, changed) })
		write(t, db, func(tx *sqldb.Tx) error {
			got, err := store.AttemptByState(tx, attempt.StateHash)
			require.Equal(t, changed, got)
			return err
		})

		grant := filled(store.Grant{ID: uuid.NewString()})
		write(t, db, func(tx *sqldb.Tx) error { return store.InsertGrant(tx, grant) })
		next := grant
		next.Generation, next.Spare = grant.Generation+1, store.Sealed{}
		write(t, db, func(tx *sqldb.Tx) error {
			got, err := store.GrantByID(tx, grant.ID, true)
			require.NoError(t, err)
			require.Equal(t, grant, got)
			ok, err := store.UpdateGrant(tx, next, grant.Generation)
			require.True(t, ok)
			return err
		})
		write(t, db, func(tx *sqldb.Tx) error {
			ok, err := store.UpdateGrant(tx, grant, grant.Generation)
			require.False(t, ok, "fenced out by the generation")
			require.NoError(t, err)
			got, err := store.GrantByID(tx, grant.ID, true)
			require.True(t, got.Spare.Empty())
			got.Spare = next.Spare
			require.Equal(t, next, got)
			return err
		})

		c := filled(connection.Connection{Ref: connection.Ref{Firm: "firm", ID: uuid.NewString()}, DayCallsLeft: -1})
		write(t, db, func(tx *sqldb.Tx) error { return store.SaveConnection(tx, c, noon) })
		write(t, db, func(tx *sqldb.Tx) error {
			got, err := store.ConnectionByID(tx, c.Ref, true)
			require.Equal(t, c, got)
			return err
		})
		c.State, c.Version = connection.Disconnected, c.Version+1
		write(t, db, func(tx *sqldb.Tx) error { return store.SaveConnection(tx, c, time.Time{}) })
		write(t, db, func(tx *sqldb.Tx) error {
			got, err := store.LastConnection(tx, "firm", c.Provider)
			require.Equal(t, c, *got)
			return err
		})

		chore := filled(store.Chore{ID: uuid.NewString(), Due: noon, ClaimOwner: "", After: "done long ago"})
		chore.ClaimOwner, chore.ClaimUntil = "", time.Time{}
		write(t, db, func(tx *sqldb.Tx) error { return store.InsertChore(tx, chore) })
		write(t, db, func(tx *sqldb.Tx) error {
			got, err := store.ClaimChores(tx, "me", noon, noon.Add(time.Minute), 10)
			chore.ClaimOwner, chore.ClaimUntil = "me", noon.Add(time.Minute)
			require.Equal(t, []store.Chore{chore}, got)
			return err
		})
	})
}

func TestZeroTimesStayZero(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		g := store.Grant{ID: uuid.NewString(), Status: store.GrantActive, Scopes: []string{}}
		write(t, db, func(tx *sqldb.Tx) error { return store.InsertGrant(tx, g) })
		write(t, db, func(tx *sqldb.Tx) error {
			got, err := store.GrantByID(tx, g.ID, false)
			require.True(t, got.AttemptStarted.IsZero() && got.LeaseUntil.IsZero() && got.RetryAt.IsZero())
			require.True(t, got.Refresh.Empty())
			return err
		})
	})
}

func TestRowsOfAnotherFirmAreNotThere(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		ref := connection.Ref{Firm: "a", ID: uuid.NewString()}
		write(t, db, func(tx *sqldb.Tx) error {
			return store.SaveConnection(tx, connection.Connection{Ref: ref, Provider: connection.XPM, TenantID: "t", State: connection.Active}, noon)
		})
		write(t, db, func(tx *sqldb.Tx) error {
			return store.InsertAttempt(tx, store.Attempt{Attempt: connection.Attempt{Ref: ref}, StateHash: "h"})
		})
		ref.Firm = "b"
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			_, err := store.ConnectionByID(tx, ref, false)
			require.ErrorIs(t, err, sqldb.ErrNotFound)
			_, err = store.AttemptByID(tx, ref, false)
			require.ErrorIs(t, err, sqldb.ErrNotFound)
			last, err := store.LastConnection(tx, "b", connection.XPM)
			require.Nil(t, last)
			return err
		}))
	})
}

func TestOneConnectionPerTenant(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		save := func(firm, tenant string) error {
			return db.Tx(t.Context(), func(tx *sqldb.Tx) error {
				return store.SaveConnection(tx, connection.Connection{Ref: connection.Ref{Firm: firm, ID: uuid.NewString()}, Provider: connection.XPM, TenantID: tenant}, noon)
			})
		}
		require.NoError(t, save("a", "T"))
		require.NoError(t, save("b", "T"))
		require.NoError(t, save("a", "t"), "ids differ by case")
		err := save("a", "T")
		require.ErrorIs(t, err, sqldb.ErrConflict)
		require.Equal(t, "connections_firm_provider_tenant_id_key", sqldb.Constraint(err))
	})
}

func TestPagesOfConnections(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		for i := range 7 {
			write(t, db, func(tx *sqldb.Tx) error { // several of one moment
				c := connection.Connection{Ref: connection.Ref{Firm: "a", ID: fmt.Sprintf("id-%d", i)}, Provider: connection.XPM,
					TenantID: fmt.Sprint(i), Created: noon.Add(time.Duration(i/3) * time.Second)}
				return store.SaveConnection(tx, c, noon)
			})
		}
		var got []string
		var after *store.Place
		for {
			var page []connection.Connection
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
				page, err = store.ListConnections(tx, "a", after, 2)
				return err
			}))
			if len(page) == 0 {
				break
			}
			for _, c := range page {
				got = append(got, c.ID)
			}
			after = &store.Place{Created: page[len(page)-1].Created, ID: page[len(page)-1].ID}
		}
		require.Equal(t, []string{"id-6", "id-5", "id-4", "id-3", "id-2", "id-1", "id-0"}, got)
	})
}

func TestChores(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		add := func(id, after string, due time.Time) {
			write(t, db, func(tx *sqldb.Tx) error {
				return store.InsertChore(tx, store.Chore{ID: id, Firm: "f", Connection: "c-" + id, Kind: store.Revoke, After: after, Due: due})
			})
		}
		claim := func(now time.Time) (ids []string) {
			write(t, db, func(tx *sqldb.Tx) error {
				list, err := store.ClaimChores(tx, "owner", now, now.Add(time.Minute), 10)
				ids = nil
				for _, c := range list {
					ids = append(ids, c.ID)
				}
				return err
			})
			return ids
		}
		add("first", "", noon)
		add("second", "first", noon)
		add("later", "", noon.Add(time.Hour))
		require.Equal(t, []string{"first"}, claim(noon))
		require.Empty(t, claim(noon), "it is claimed")
		require.Equal(t, []string{"first"}, claim(noon.Add(time.Minute)), "its owner is gone")
		write(t, db, func(tx *sqldb.Tx) error {
			free, err := store.CancelChores(tx, connection.Ref{Firm: "f", ID: "c-first"}, noon.Add(time.Minute))
			require.False(t, free, "somebody is at it")
			return err
		})
		write(t, db, func(tx *sqldb.Tx) error { return store.DoneChore(tx, "first", "somebody else") })
		require.Empty(t, claim(noon.Add(time.Minute)), "only its owner is done with it")
		write(t, db, func(tx *sqldb.Tx) error {
			return store.PostponeChore(tx, "first", "owner", noon.Add(2*time.Minute), "why")
		})
		require.Equal(t, []string{"first"}, claim(noon.Add(2*time.Minute)))
		write(t, db, func(tx *sqldb.Tx) error { return store.DoneChore(tx, "first", "owner") })
		require.Equal(t, []string{"second"}, claim(noon.Add(2*time.Minute)))
		write(t, db, func(tx *sqldb.Tx) error {
			free, err := store.CancelChores(tx, connection.Ref{Firm: "f", ID: "c-later"}, noon)
			require.True(t, free)
			return err
		})
		require.Empty(t, claim(noon.Add(2 * time.Hour))[:0])
	})
}

func TestDueAttempts(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		for i, a := range []store.Attempt{
			{Attempt: connection.Attempt{State: connection.Waiting, Expires: noon.Add(time.Minute)}},
			{Attempt: connection.Attempt{State: connection.Waiting, Expires: noon}},
			{Attempt: connection.Attempt{State: connection.Exchanging, Expires: noon.Add(time.Minute)}, ClaimOwner: "x", ClaimUntil: noon.Add(time.Second)},
			{Attempt: connection.Attempt{State: connection.Listing, Expires: noon.Add(time.Minute)}, ClaimUntil: noon},
			{Attempt: connection.Attempt{State: connection.Confirming, Expires: noon.Add(time.Minute)}, ClaimOwner: "x", ClaimUntil: noon},
			{Attempt: connection.Attempt{State: connection.Expired, Expires: noon}},
			{Attempt: connection.Attempt{State: connection.Confirmed, Expires: noon}},
		} {
			a.Ref, a.StateHash = connection.Ref{Firm: "f", ID: fmt.Sprint(i)}, fmt.Sprint(i)
			a.Created = noon.Add(-time.Hour)
			write(t, db, func(tx *sqldb.Tx) error { return store.InsertAttempt(tx, a) })
		}
		write(t, db, func(tx *sqldb.Tx) error {
			due, err := store.DueAttempts(tx, noon, 10)
			var ids []string
			for _, a := range due {
				ids = append(ids, a.ID)
			}
			require.ElementsMatch(t, []string{"1", "3", "4"}, ids)
			return err
		})
		write(t, db, func(tx *sqldb.Tx) error {
			n, err := store.PurgeAttempts(tx, noon)
			require.EqualValues(t, 2, n)
			return err
		})
	})
}

func TestStatesAreToldOnce(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		ref := connection.Ref{Firm: "f", ID: uuid.NewString()}
		set := func(s connection.State, reason string) (version int64) {
			write(t, db, func(tx *sqldb.Tx) error {
				c, err := store.ConnectionByID(tx, ref, true)
				require.NoError(t, err)
				require.NoError(t, store.SetState(tx, c, s, reason, noon))
				c, err = store.ConnectionByID(tx, ref, true)
				version = c.Version
				return err
			})
			return version
		}
		write(t, db, func(tx *sqldb.Tx) error {
			return store.SaveConnection(tx, connection.Connection{Ref: ref, State: connection.Active, Version: 1}, noon)
		})
		require.EqualValues(t, 1, set(connection.Active, ""))
		require.EqualValues(t, 2, set(connection.Degraded, "a"))
		require.EqualValues(t, 3, set(connection.NeedsReauth, "b"))
		require.EqualValues(t, 3, set(connection.NeedsReauth, "b"))
		require.EqualValues(t, 4, set(connection.Active, ""))
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			got, err := sqldb.Collect(tx, func(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) },
				`SELECT subject FROM events_outbox ORDER BY position`)
			require.Equal(t, []string{"connector.v1.connection_degraded", "connector.v1.connection_needs_reauth", "connector.v1.connection_recovered"}, got)
			return err
		}))
	})
}

func TestSubjects(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		write(t, db, func(tx *sqldb.Tx) error {
			for i, g := range []store.Grant{{Subject: "s", Status: store.GrantActive}, {Subject: "s", Status: store.GrantDead}, {Subject: "t", Status: store.GrantClosing}} {
				g.ID, g.App, g.Firm = fmt.Sprint(i), "app", "f"
				if err := store.InsertGrant(tx, g); err != nil {
					return err
				}
			}
			return store.InsertAttempt(tx, store.Attempt{Attempt: connection.Attempt{Ref: connection.Ref{Firm: "f", ID: "a"}, State: connection.Waiting, Expires: noon}})
		})
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			for _, c := range []struct {
				app, subject, but string
				want              bool
			}{{"app", "s", "", true}, {"app", "s", "0", false}, {"app", "t", "", false}, {"other", "s", "", false}} {
				got, err := store.SubjectGranted(tx, c.app, c.subject, c.but)
				require.NoError(t, err)
				require.Equal(t, c.want, got, c)
			}
			open, err := store.SubjectOpen(tx, "f", "s", noon.Add(-time.Second))
			require.NoError(t, err)
			require.True(t, open, "whose answer has not come yet may be this person's")
			open, err = store.SubjectOpen(tx, "another firm", "s", noon.Add(-time.Second))
			require.NoError(t, err)
			require.False(t, open)
			open, err = store.SubjectOpen(tx, "f", "s", noon)
			require.False(t, open, "it is over")
			return err
		}))
	})
}

// TestDegradedConnectionsAreTriedLessAndLess: often while it may be a hiccup, and without using up the tenant's calls when it
// is none.
func TestDegradedConnectionsAreTriedLessAndLess(t *testing.T) {
	sqldbtest.Each(t, migrations, func(t *testing.T, db *sqldb.DB) {
		c := filled(connection.Connection{Ref: connection.Ref{Firm: "firm", ID: uuid.NewString()}, DayCallsLeft: -1})
		c.State, c.Failures = connection.Degraded, connection.DegradedAfter
		write(t, db, func(tx *sqldb.Tx) error { return store.SaveConnection(tx, c, noon) })
		tries := func(from, to time.Duration) (n int) {
			write(t, db, func(tx *sqldb.Tx) error {
				n = 0
				for at := from; at < to; at += time.Minute {
					due, err := store.TakeDegraded(tx, noon.Add(at), 2*time.Minute, 10)
					if err != nil {
						return err
					}
					n += len(due)
				}
				return nil
			})
			return n
		}
		require.Equal(t, 3, tries(0, 6*time.Minute))
		require.Less(t, tries(6*time.Minute, 24*time.Hour), 75)
		require.Equal(t, 2, tries(24*time.Hour, 25*time.Hour), "every half an hour")
		for _, now := range []connection.State{connection.Active, connection.Degraded} {
			c.State = now
			write(t, db, func(tx *sqldb.Tx) error { return store.SaveConnection(tx, c, time.Time{}) })
		}
		require.Equal(t, 3, tries(25*time.Hour, 25*time.Hour+6*time.Minute), "it worked in between")
	})
}
