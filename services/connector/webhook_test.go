package connector_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	connectoreventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/webhooks"
)

const hookKey = "a key that only the provider and this installation know"

var keyed = []string{"CONCORD_CONNECTOR_XERO_WEBHOOK_KEY=" + hookKey}

// receive hands a notice to the connector, as the gateway does.
func (s *suite) receive(body, signature string) error {
	_, err := connectorv1.NewWebhookServiceClient(s.conn).ReceiveWebhook(s.asService("gateway", ""), &connectorv1.ReceiveWebhookRequest{
		Provider: xero, Body: []byte(body), Signature: signature})
	return err
}

func (s *suite) notice(body string) error {
	return s.receive(body, webhooks.Sign(hookKey, []byte(body)))
}

// event is one event as the provider writes it.
func event(tenant, record string, at time.Time) string {
	return fmt.Sprintf(`{"resourceUrl":"https://x/Contacts/%[2]s","resourceId":"%[2]s","eventDateUtc":"%[3]s","eventType":"UPDATE",`+
		`"eventCategory":"CONTACT","tenantId":"%[1]s","tenantType":"ORGANISATION"}`, tenant, record, at.UTC().Format("2006-01-02T15:04:05.000"))
}

func notices(all ...string) string {
	return `{"events":[` + strings.Join(all, ",") + `],"firstEventSequence":1,"lastEventSequence":` + fmt.Sprint(len(all)) + `,"entropy":"x"}`
}

// toldRecords returns the ids that were told for a connection, each as often as it was.
func (s *suite) toldRecords(connection string) (all []string) {
	for _, e := range told[*connectoreventsv1.RecordsChanged](s) {
		if e.GetConnection() == connection {
			all = append(all, e.GetRecordIds()...)
		}
	}
	slices.Sort(all)
	return all
}

func record(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

var at = time.Date(2026, 3, 2, 12, 0, 0, 5e6, time.UTC)

func TestWebhooksAreCheckedAndToldOnce(t *testing.T) {
	each(t, options{environ: keyed}, func(t *testing.T, s *suite) {
		mine, theirs := s.connectBooks(firmA, sim.OrganisationName), s.connectBooks(firmB, sim.OrganisationName)
		other := s.connectBooks(firmB, sim.SecondOrganisation)
		tenant := mine.GetTenantId()

		require.NoError(t, s.notice(`{"events":[],"lastEventSequence":0,"firstEventSequence":0,"entropy":"S0m3"}`), "the intent to receive")
		one := notices(event(tenant, record(1), at), event(strings.ToUpper(tenant), record(2), at), event(tenant, record(1), at))
		for name, forged := range map[string]string{
			"another key": webhooks.Sign("another key", []byte(one)), "other bytes": webhooks.Sign(hookKey, []byte(one+" ")),
			"hex": "00ff", "nothing": "", "no base64": "%%%", "not signed at all": "c2lnbmF0dXJl",
		} {
			requireReason(t, s.receive(one, forged), connectorv1.ErrorReason_ERROR_REASON_SIGNATURE_INVALID)
			require.Empty(t, s.toldRecords(mine.GetName()), name)
		}
		require.NoError(t, s.notice(one))
		s.until("the changes are told", func() bool { return len(s.toldRecords(mine.GetName())) == 2 })
		require.Equal(t, []string{record(1), record(2)}, s.toldRecords(theirs.GetName()), "every firm that has the organisation")
		require.Empty(t, s.toldRecords(other.GetName()))
		require.Equal(t, at, told[*connectoreventsv1.RecordsChanged](s)[0].GetOccurTime().AsTime())

		// The same again, in another order, among new ones, and some that nobody wants.
		require.NoError(t, s.notice(notices(event(tenant, record(2), at), event(tenant, record(3), at.Add(-time.Hour)),
			event(record(9), record(4), at), event(tenant, record(1), at.Add(time.Second)), `{"eventCategory":"INVOICE","resourceId":"`+record(5)+`","tenantId":"`+tenant+`","eventDateUtc":"2026-03-02T12:00:00"}`,
			`{}`, strings.Replace(event(tenant, record(6), at), "UPDATE", "CREATE", 1))))
		require.NoError(t, s.notice(one))
		want := []string{record(1), record(1), record(2), record(3), record(6)}
		s.until("the new ones are told", func() bool { return len(s.toldRecords(mine.GetName())) >= len(want) })
		s.until("nothing waits", func() bool {
			return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM webhook_events WHERE settled = 0`) == "0"
		})
		require.Equal(t, want, s.toldRecords(mine.GetName()))
		require.Equal(t, "1", s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM webhook_events WHERE outcome = 'NOBODY'`), "counted, and dropped")
		s.until("the log says so", func() bool { return strings.Contains(s.logs.String(), "nobody has connected") })

		require.NoError(t, s.notice(`signed, and no notice`), "to be sent it again for a day would be no use")
		require.NoError(t, s.notice(`{"events":"many"}`))
	})
}

func TestManyChangesAtOnce(t *testing.T) {
	s := onSQLite(t, options{environ: keyed})
	c := s.connectBooks(firmA, sim.OrganisationName)
	var all []string
	for i := range 612 {
		all = append(all, event(c.GetTenantId(), record(i), at.Add(time.Duration(i)*time.Second)))
	}
	require.NoError(t, s.notice(notices(all...)))
	s.until("all are told", func() bool { return len(s.toldRecords(c.GetName())) == 612 })
	for _, e := range told[*connectoreventsv1.RecordsChanged](s) {
		require.LessOrEqual(t, len(e.GetRecordIds()), 500)
	}
}

func TestEndedConnectionsAreToldNothing(t *testing.T) {
	s := onSQLite(t, options{environ: keyed})
	c := s.connectBooks(firmA, sim.OrganisationName)
	_, err := s.connections.DisconnectConnection(s.admin(firmA), &connectorv1.DisconnectConnectionRequest{Name: c.GetName()})
	require.NoError(t, err)
	require.NoError(t, s.notice(notices(event(c.GetTenantId(), record(1), at))))
	s.until("it is dropped", func() bool {
		return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM webhook_events WHERE outcome = 'NOBODY'`) == "1"
	})
	require.Empty(t, s.toldRecords(c.GetName()))
}

func TestWebhooksWithoutAKey(t *testing.T) {
	s := onSQLite(t, options{})
	body := notices(event(record(1), record(2), at))
	for _, signature := range []string{"", webhooks.Sign("", []byte(body))} {
		requireReason(t, s.receive(body, signature), connectorv1.ErrorReason_ERROR_REASON_PROVIDER_NOT_CONFIGURED)
	}
}

// TestNoChangeIsLostOrToldTwiceWhenTheProcessDies: it dies, or its commit does, between inbox and outbox.
func TestNoChangeIsLostOrToldTwiceWhenTheProcessDies(t *testing.T) {
	for kind, harm := range map[string]func(*sqldbtest.Faults){
		"before the commit":          func(f *sqldbtest.Faults) { f.FailCommit(1) },
		"after it, without a word":   func(f *sqldbtest.Faults) { f.CommitThenFail(1) },
		"while it writes the outbox": func(f *sqldbtest.Faults) { f.FailExec("INSERT INTO events_outbox", 3) },
		"while it settles the inbox": func(f *sqldbtest.Faults) { f.FailExec("UPDATE webhook_events", 3) },
	} {
		t.Run(kind, func(t *testing.T) {
			f := sqldbtest.NewFaults()
			each(t, options{environ: keyed, faults: f, still: true}, func(t *testing.T, s *suite) {
				c := s.connectBooks(firmA, sim.OrganisationName)
				require.NoError(t, s.notice(notices(event(c.GetTenantId(), record(1), at), event(c.GetTenantId(), record(2), at))))
				require.Empty(t, s.toldRecords(c.GetName()))
				s.startReplica() // another process, on what the first left; its first transactions fail
				harm(f)
				s.work()
				s.until("both are told", func() bool { return len(s.toldRecords(c.GetName())) >= 2 })
				f.FailExec("", 0)
				s.until("nothing waits", func() bool {
					return s.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM webhook_events WHERE settled = 0`) == "0"
				})
				require.Equal(t, []string{record(1), record(2)}, s.toldRecords(c.GetName()))
			})
		})
	}
}

// TestASlowDatabaseAsksForTheNoticeAgain: the provider waits five seconds; what is not kept by then must not be said to be.
func TestASlowDatabaseAsksForTheNoticeAgain(t *testing.T) {
	s := onSQLite(t, options{environ: keyed, still: true})
	c := s.connectBooks(firmA, sim.OrganisationName)
	body := notices(event(c.GetTenantId(), record(1), at))
	locked, release := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- s.db.Tx(context.Background(), func(*sqldb.Tx) error { close(locked); <-release; return nil })
	}()
	<-locked
	began := time.Now()
	ctx, cancel := context.WithTimeout(s.asService("gateway", ""), 4*time.Second) // as the gateway waits
	defer cancel()
	_, err := connectorv1.NewWebhookServiceClient(s.conn).ReceiveWebhook(ctx, &connectorv1.ReceiveWebhookRequest{
		Provider: xero, Body: []byte(body), Signature: webhooks.Sign(hookKey, []byte(body))})
	require.Contains(t, []codes.Code{codes.Unavailable, codes.DeadlineExceeded}, status.Code(err), "%v", err)
	require.Less(t, time.Since(began), 5*time.Second)
	close(release)
	require.NoError(t, <-done)
	require.NoError(t, s.notice(body))
	s.work()
	s.until("it is told", func() bool { return len(s.toldRecords(c.GetName())) == 1 })
}

// TestTheProvidersOwnSender: the check of the address, changes, and everything sent again in disorder.
func TestTheProvidersOwnSender(t *testing.T) {
	s := onSQLite(t, options{environ: keyed, contacts: 40})
	c := s.connectBooks(firmA, sim.OrganisationName)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // as the gateway answers
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = s.receive(string(body), r.Header.Get(webhooks.SignatureHeader))
		}
		if err != nil {
			w.WriteHeader(map[bool]int{true: 401, false: 503}[rpcerr.From(err).Code() == codes.PermissionDenied])
		}
	}))
	t.Cleanup(front.Close)
	hook, err := s.remote.Hook(t.Context(), remote.NewHook{App: sim.ClientID, URL: front.URL, Key: hookKey})
	require.NoError(t, err)
	checked, err := s.remote.CheckHook(t.Context(), hook.ID)
	require.NoError(t, err)
	require.True(t, checked.OK, "%+v", checked)
	edited, err := s.remote.Books("").Edit(t.Context(), remote.PartySelector{N: 30, Seed: 3}, remote.PartyEdit{Fields: map[string]string{"AccountNumber": ""}})
	require.NoError(t, err)
	var want []string
	for _, p := range edited {
		want = append(want, p.ID)
	}
	slices.Sort(want)
	s.until("the changes are told", func() bool { return len(s.toldRecords(c.GetName())) >= len(want) })
	_, err = s.remote.ReplayHook(t.Context(), hook.ID, webhooks.Replay{Order: "shuffle", Times: 3, Batch: 7})
	require.NoError(t, err)
	require.Equal(t, want, s.toldRecords(c.GetName()))
}
