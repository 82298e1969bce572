package runner_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/offboard"
	"github.com/concord-suite/concord/services/sync/internal/peertest"
	"github.com/concord-suite/concord/services/sync/internal/plan"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

var unavailable = rpcerr.New(codes.Unavailable, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_UNAVAILABLE,
	"the provider can not be reached").GRPCStatus().Err()

func records(from, to int) (out []string) {
	for i := from; i <= to; i++ {
		out = append(out, fmt.Sprintf("r%04d", i))
	}
	return out
}

func TestProvenRemovalsBelowTheGuardApplyByThemselves(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(60)
		b.Sync(run.Full)
		b.World.Archive("r0007")
		b.World.Delete("r0033")
		b.World.Forget()
		r := b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State, r.Message)
		require.Equal(t, 2, b.World.Calls("GetRecord"), "one call per candidate")
		require.EqualValues(t, 12+2, r.Calls)
		require.EqualValues(t, 2, r.Counts.Candidates)
		require.EqualValues(t, 2, r.Counts.Confirmed)
		require.EqualValues(t, 2, r.Counts.Started)
		for _, record := range []string{"r0007", "r0033"} {
			c := b.Client(record)
			require.Equal(t, client.Leaving, c.State)
			o := b.Offboarding(c.ID)
			require.Equal(t, offboard.Preparing, o.State)
			require.Equal(t, offboard.Upstream, o.Origin)
		}
		require.Equal(t, "archived upstream", b.Offboarding(b.Client("r0007").ID).Reason)
		require.Equal(t, "deleted upstream", b.Offboarding(b.Client("r0033").ID).Reason)
		for _, c := range b.Changes(r, plan.Archive) {
			require.Equal(t, plan.ChangeApplied, c.State)
			require.True(t, c.Confirmed)
			require.Len(t, c.Evidence, 2)
		}
		r = b.Sync(run.Full)
		require.Zero(t, r.Counts.Candidates, "who is leaving is no candidate again")
	})
}

func TestFirstFullRemovesNothing(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(20)
		b.Sync(run.Manual)
		b.World.Archive("r0001")
		r := b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State)
		require.Equal(t, "the first full sync of a connection removes nothing; 1 clients were not listed", r.Message)
		require.Equal(t, client.Listed, b.Client("r0001").State)
		require.EqualValues(t, 1, b.Sync(run.Full).Counts.Started, "the next one does")
	})
}

func TestGuardWithholdsBeforeAnyConfirmation(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(100)
		b.Sync(run.Full)
		b.World.Archive(records(1, 25)...)
		blocked := store.Name(peertest.Firm, "clients", b.Client("r0004").ID)
		b.World.Folder(blocked, func(f *peertest.Folder) {
			f.Blockers = []*documentsv1.Blocker{{Kind: "SIGNATURE_OPEN", Description: "email job 42 holds 2 documents for signature"}}
		})
		b.World.Forget()
		r := b.Sync(run.Full)
		require.Equal(t, run.Withheld, r.State)
		require.Equal(t, "25 of 100 clients would leave, more than the 10 that may leave without a decision", r.WithheldReason)
		require.Zero(t, b.World.Calls("GetRecord"))
		require.EqualValues(t, 100, b.Count(`clients WHERE state = 'LISTED'`))
		changes := b.Changes(r, plan.Archive)
		require.Len(t, changes, 25)
		for _, c := range changes {
			require.Equal(t, plan.ChangeWaiting, c.State)
			require.NotEmpty(t, c.Evidence)
			if c.RecordID == "r0004" {
				require.Equal(t, "email job 42 holds 2 documents for signature", c.Blockers[0].Description)
			} else {
				require.Empty(t, c.Blockers)
			}
		}
		p := planOf(b, r)
		require.Equal(t, plan.Waiting, p.State)
		require.EqualValues(t, 25, p.Waiting)
		require.EqualValues(t, 100, p.Linked)

		decide(b, p, true)
		b.Work()
		require.Equal(t, 25, b.World.Calls("GetRecord"))
		require.EqualValues(t, 25, b.Run(r.ID).Counts.Started)
	})
}

func planOf(b *peertest.Bench, r run.Run) (p plan.Plan) {
	b.Read(func(tx *sqldb.Tx) (err error) {
		p, err = store.Plan(tx, peertest.Firm, r.Plan)
		return err
	})
	return p
}

// decide approves or rejects everything that waits in a plan.
func decide(b *peertest.Bench, p plan.Plan, approve bool) {
	state := plan.ChangeRejected
	if approve {
		state = plan.ChangeApproved
	}
	b.Tx(func(tx *sqldb.Tx) error {
		if _, err := store.DropMoved(tx, p.ID); err != nil {
			return err
		}
		decided, err := store.Decide(tx, p.ID, state, true, nil, store.Name(peertest.Firm, "staff", "s1"), b.Clock.Now())
		if err != nil {
			return err
		}
		if !approve {
			if err := store.KeepRejected(tx, decided); err != nil {
				return err
			}
		}
		return store.SettlePlan(tx, p.ID)
	})
}

func TestNothingIsRemovedWithoutProof(t *testing.T) {
	for name, spoil := range map[string]func(b *peertest.Bench){
		"drift": func(b *peertest.Bench) {
			b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) { p.Drifted = p.GetPage() == 2 })
		},
		"a record twice": func(b *peertest.Bench) {
			var last *connectorv1.Record
			b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) {
				if last != nil {
					p.Records = append(p.Records, last)
				}
				last = p.GetRecords()[0]
			})
		},
		"total moved": func(b *peertest.Bench) {
			b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) { p.AnnouncedTotal += int64(p.GetPage()) })
		},
		"fewer than announced": func(b *peertest.Bench) {
			b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) { p.AnnouncedTotal = 30 })
		},
		"empty": func(b *peertest.Bench) {
			b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) { p.Records, p.Complete, p.AnnouncedTotal = nil, true, 0 })
		},
		"page from nowhere": func(b *peertest.Bench) {
			b.World.Spoil(func(p *connectorv1.StreamRecordsResponse) { p.TenantId = "" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(30)
				b.Sync(run.Full)
				b.World.Archive("r0002")
				b.World.Forget()
				spoil(b)
				r := b.Sync(run.Full)
				require.Equal(t, run.Withheld, r.State, r.Message)
				require.False(t, r.Proven)
				require.NotEmpty(t, r.UnprovenReason)
				require.Contains(t, r.Message, "nothing was removed")
				require.Zero(t, b.World.Calls("GetRecord"))
				require.EqualValues(t, 30, b.Count(`clients WHERE state = 'LISTED'`))
				require.Zero(t, b.Count(`contacts WHERE state <> 'ACTIVE'`))
				require.Zero(t, b.Count(`changes WHERE kind = 'ARCHIVE'`))
				b.World.Heal()
				require.EqualValues(t, 1, b.Sync(run.Full).Counts.Started, "a listing that proves removes")
			})
		})
	}
}

func TestWrongTenantFailsTheRun(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Tenant = "tenant-2"
		b.World.PutClient("r9999", &connectorv1.ClientFields{Name: "Somebody else's"})
		r := b.Sync(run.Full)
		require.Equal(t, run.Failed, r.State)
		require.Contains(t, r.Message, "another tenant")
		require.EqualValues(t, 30, b.Count("clients"))
	})
}

func TestOnlyTheListSourceRemoves(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.Tx(func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE clients SET list_source = 'another' WHERE code = 'C0002'`)
			return err
		})
		b.World.Archive("r0002")
		require.Zero(t, b.Sync(run.Full).Counts.Candidates)
	})
}

func TestActiveRecordRefutesTheRemoval(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		b.World.Change("r0002", func(c *peertest.Client) { c.Hidden = true })
		r := b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State)
		require.EqualValues(t, 1, r.Counts.Refuted)
		require.Equal(t, client.Listed, b.Client("r0002").State)
		require.Equal(t, plan.ChangeRefuted, b.Changes(r, plan.Archive)[0].State)
	})
}

func TestChangedSelectionIsOutOfScope(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(30)
		b.Sync(run.Full)
		for _, id := range records(1, 20) {
			b.World.Change(id, func(c *peertest.Client) { c.Hidden = true })
		}
		b.Connect(func(c *run.Connection) { c.Selection = `["CUSTOMER"]` })
		b.World.Forget()
		r := b.Sync(run.Full)
		require.Equal(t, run.Succeeded, r.State)
		require.EqualValues(t, 20, r.Counts.OutOfScope)
		require.Zero(t, r.Counts.Candidates)
		r = b.Sync(run.Full)
		require.Zero(t, r.Counts.Candidates, "nor later, for what was left out on purpose")
		require.Zero(t, b.World.Calls("GetRecord"))

		b.World.Change("r0001", func(c *peertest.Client) { c.Hidden = false })
		b.Sync(run.Full)
		b.World.Archive("r0001")
		require.EqualValues(t, 1, b.Sync(run.Full).Counts.Started, "back in scope, it can leave like any other")
	})
}

func TestReviewPolicyAndSuspensionWithhold(t *testing.T) {
	for name, set := range map[string]func(*run.Connection){
		"review":    func(c *run.Connection) { c.ReviewRemovals = true },
		"suspended": func(c *run.Connection) { c.RemovalsSuspended = true },
	} {
		t.Run(name, func(t *testing.T) {
			peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
				b.World.Practice(30)
				b.Sync(run.Full)
				b.Connect(set)
				b.World.Archive("r0002")
				b.World.Forget()
				r := b.Sync(run.Full)
				require.Equal(t, run.Withheld, r.State)
				require.Zero(t, b.World.Calls("GetRecord"))
				require.EqualValues(t, 1, planOf(b, r).Waiting)
			})
		})
	}
}

func TestUnarchivedUpstreamComesBack(t *testing.T) {
	peertest.Each(t, func(t *testing.T, b *peertest.Bench) {
		b.World.Practice(60)
		b.Sync(run.Full)
		b.World.Archive("r0005", "r0006")
		b.Sync(run.Full)
		before := b.Client("r0005")
		require.NoError(t, b.Saga.Step(context.Background(), func() {})) // one of them goes all the way
		gone := "r0005"
		if b.Client(gone).State != client.Offboarded {
			gone = "r0006"
		}
		require.Equal(t, client.Offboarded, b.Client(gone).State)
		b.World.Unarchive("r0005", "r0006")
		b.World.Change(gone, func(c *peertest.Client) { c.Fields.Phone = "1300 000 000" })
		r := b.Sync(run.Full)
		require.EqualValues(t, 1, r.Counts.ClientsRestored)
		require.Len(t, b.Changes(r, plan.Restore), 1)
		b.Offboard()
		require.Equal(t, before.ID, b.Client("r0005").ID)
		for _, record := range []string{"r0005", "r0006"} {
			require.Equal(t, client.Listed, b.Client(record).State, record)
		}
		require.Equal(t, "1300 000 000", b.Client(gone).Fields.Phone, "with what changed meanwhile")
		require.EqualValues(t, 1, b.Count(`offboardings WHERE state = 'REVERSED'`))
		require.EqualValues(t, 1, b.Count(`offboardings WHERE state = 'CANCELLED'`), "the other had not left yet")
		require.Zero(t, b.Sync(run.Full).Counts.Candidates)
	})
}
