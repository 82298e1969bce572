package connector_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/sim"
)

// TestReplicasKeepTheProvidersLimits runs three replicas on one database against a provider that counts: none of its
// limits may be met, and what they leave must be used.
func TestReplicasKeepTheProvidersLimits(t *testing.T) {
	each(t, options{clients: 600}, func(t *testing.T, s *suite) {
		c := s.connect(firmA, sim.Consultant, sim.PracticeName)
		other := s.connect(firmA, sim.Consultant, sim.SecondPracticeName)
		all, err := s.remote.Clients(t.Context(), "", "", 600)
		require.NoError(t, err)
		replicas := []connectorv1.RecordServiceClient{s.records}
		for range 2 {
			s.startReplica()
			replicas = append(replicas, s.records)
		}
		require.NoError(t, s.remote.Do(t.Context(), "DELETE", "/control/calls", nil, nil))
		const perWorker, workers = 14, 5
		began := time.Now()
		var group errgroup.Group
		for r, replica := range replicas {
			for w := range workers {
				group.Go(func() error {
					for i := range perWorker {
						id := all[(r*workers+w)*perWorker+i].UUID
						_, err := replica.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{
							Connection: c.GetName(), RecordId: id, Interactive: w == 0})
						if err != nil {
							return err
						}
					}
					return nil
				})
			}
			group.Go(func() error { // another practice has limits of its own
				_, err := replica.GetRecord(s.asService("sync", firmA), &connectorv1.GetRecordRequest{Connection: other.GetName(), RecordId: firmA})
				return err
			})
		}
		require.NoError(t, group.Wait())
		took := time.Since(began)
		calls, err := s.remote.Calls(t.Context())
		require.NoError(t, err)
		of := calls[c.GetTenantId()]
		require.Equal(t, 3*workers*perWorker, of.Calls)
		require.Zero(t, of.Refused)
		require.LessOrEqual(t, of.Peak, 5)
		require.Zero(t, calls[other.GetTenantId()].Refused)
		t.Logf("%d calls at 60 a second in %s, none refused, %d at once", of.Calls, took.Round(10*time.Millisecond), of.Peak)
	})
}
