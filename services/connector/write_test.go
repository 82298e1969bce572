package connector_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
)

// ledger is one client at one provider, connected: what is written is asked for beside the connector.
type ledger struct {
	*suite
	c  *connectorv1.Connection
	id string
}

// ledgers runs fn at both providers.
func ledgers(t *testing.T, o options, fn func(t *testing.T, l ledger)) {
	t.Helper()
	t.Run("XPM", func(t *testing.T) {
		s := onSQLite(t, o)
		all, err := s.remote.Clients(t.Context(), "", "", 1)
		require.NoError(t, err)
		fn(t, ledger{s, s.connect(firmA, sim.Owner, sim.PracticeName), all[0].UUID})
	})
	t.Run("accounting", func(t *testing.T) {
		s := onSQLite(t, o)
		all, err := s.remote.Books("").Contacts(t.Context(), "", "", 1)
		require.NoError(t, err)
		fn(t, ledger{s, s.connectBooks(firmA, sim.OrganisationName), all[0].ID})
	})
}

// fields returns what the provider has, by a reading of its own.
func (l ledger) fields() *connectorv1.ClientFields {
	l.t.Helper()
	return l.record(l.c, l.id).GetClient()
}

func (l ledger) request(set *connectorv1.ClientFields, paths ...string) *connectorv1.UpdateRecordRequest {
	l.t.Helper()
	return &connectorv1.UpdateRecordRequest{Connection: l.c.GetName(), RecordId: l.id, Client: set, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
		ExpectedHash: l.record(l.c, l.id).GetHash(), RequestId: uuid.NewString()}
}

func (l ledger) update(req *connectorv1.UpdateRecordRequest) (*connectorv1.UpdateRecordResponse, error) {
	return l.records.UpdateRecord(l.asService("sync", firmA), req)
}

// writes counts the requests that write while fn runs.
func (l ledger) writes(fn func()) (calls int) {
	l.t.Helper()
	l.wire.set(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
		if r.Method != http.MethodGet {
			calls++
		}
		return send()
	})
	defer l.wire.set(nil)
	fn()
	return calls
}

func TestUpdateRecord(t *testing.T) {
	ledgers(t, options{}, func(t *testing.T, l ledger) {
		before := l.fields()
		set := &connectorv1.ClientFields{Name: "not written", Email: " new@example.com ", Code: "C-77", Phone: "+61 2 5550 1234", OtherPhone: "02 5550 9999",
			FirstName: "Ada", CompanyNumber: "123 456 789",
			PostalAddress: &connectorv1.Address{Street: "PO Box 9\n  Level 2 & <3>\n", City: "Perth", Region: "WA", PostalCode: "6000", Country: "Australia"}}
		resp, err := l.update(l.request(set, "email", "code", "phone", "other_phone", "first_name", "company_number", "postal_address"))
		require.NoError(t, err)
		now := l.fields()
		require.Equal(t, now, resp.GetRecord().GetClient(), "the answer is the record as it is now")
		require.Equal(t, l.record(l.c, l.id).GetHash(), resp.GetRecord().GetHash())
		require.Equal(t, before.GetName(), now.GetName(), "what the mask does not name stays")
		require.Equal(t, []string{"new@example.com", "C-77", "+61 2 5550 1234", "02 5550 9999", "Ada", "123 456 789"},
			[]string{now.GetEmail(), now.GetCode(), now.GetPhone(), now.GetOtherPhone(), now.GetFirstName(), now.GetCompanyNumber()})
		require.Equal(t, "PO Box 9\nLevel 2 & <3>", now.GetPostalAddress().GetStreet())
		require.EqualValues(t, 2, resp.GetCalls(), "one to read, one to write")
		require.NotNil(t, resp.GetServerTime())

		_, err = l.update(l.request(&connectorv1.ClientFields{PostalAddress: &connectorv1.Address{City: "Fremantle"}}, "postal_address.city", "email"))
		require.NoError(t, err)
		now = l.fields()
		require.Equal(t, "Fremantle", now.GetPostalAddress().GetCity())
		require.Equal(t, "6000", now.GetPostalAddress().GetPostalCode(), "the rest of the address stays")
		require.Empty(t, now.GetEmail(), "an empty value empties the field")
		require.Equal(t, "+61 2 5550 1234", now.GetPhone())

		n := l.writes(func() {
			resp, err = l.update(l.request(&connectorv1.ClientFields{Code: "C-77"}, "code"))
			require.NoError(t, err)
		})
		require.Zero(t, n, "what is there already is not written")
		require.EqualValues(t, 1, resp.GetCalls())
	})
}

func TestTheSameUpdateHappensOnce(t *testing.T) {
	ledgers(t, options{}, func(t *testing.T, l ledger) {
		req := l.request(&connectorv1.ClientFields{Code: "ONCE"}, "code")
		var first, second *connectorv1.UpdateRecordResponse
		n := l.writes(func() {
			var err error
			first, err = l.update(req)
			require.NoError(t, err)
			second, err = l.update(req)
			require.NoError(t, err)
		})
		require.Equal(t, 1, n)
		require.Equal(t, first.GetRecord().GetHash(), second.GetRecord().GetHash())
		req.Client.Code = "TWICE"
		_, err := l.update(req)
		require.Equal(t, codes.InvalidArgument, status.Code(err), "the same id for another request")
		require.Equal(t, "ONCE", l.fields().GetCode())
	})
}

func TestAMovedRecordIsNotWritten(t *testing.T) {
	ledgers(t, options{}, func(t *testing.T, l ledger) {
		stale := l.request(&connectorv1.ClientFields{Code: "MINE"}, "code")
		_, err := l.update(l.request(&connectorv1.ClientFields{Email: "theirs@example.com"}, "email"))
		require.NoError(t, err)
		n := l.writes(func() {
			_, err = l.update(stale)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_RECORD_MOVED)
			_, err = l.update(stale)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_RECORD_MOVED)
			stale.RecordId, stale.RequestId = uuid.NewString(), uuid.NewString()
			_, err = l.update(stale)
			requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_RECORD_MOVED)
		})
		require.Zero(t, n)
		require.NotEqual(t, "MINE", l.fields().GetCode())
	})
}

func TestFieldsThatCannotBeWritten(t *testing.T) {
	ledgers(t, options{}, func(t *testing.T, l ledger) {
		n := l.writes(func() {
			for _, c := range []struct {
				paths  []string
				set    *connectorv1.ClientFields
				reason string
				fields []string
			}{
				{[]string{"code", "shoe_size"}, nil, "INVALID_REQUEST", []string{"update_mask.paths[1]"}},
				{[]string{"postal_address.planet"}, nil, "INVALID_REQUEST", []string{"update_mask.paths[0]"}},
				{[]string{}, nil, "INVALID_REQUEST", []string{"update_mask"}},
				{[]string{"groups", "code", "custom_fields", "unread"}, nil, "NOT_SUPPORTED", []string{"update_mask.paths[0]", "update_mask.paths[2]", "update_mask.paths[3]"}},
				{[]string{"entity_type"}, nil, "NOT_SUPPORTED", []string{"update_mask.paths[0]"}},
				{[]string{"name"}, &connectorv1.ClientFields{Name: "  "}, "RECORD_INVALID", []string{"client.name"}},
				{[]string{"name", "email"}, &connectorv1.ClientFields{Name: strings.Repeat("ü", 256), Email: "a\x00b"}, "RECORD_INVALID", []string{"client.name", "client.email"}},
			} {
				if c.set == nil {
					c.set = &connectorv1.ClientFields{Code: "X"}
				}
				_, err := l.update(l.request(c.set, c.paths...))
				requireFields(t, err, c.fields...)
				require.Contains(t, err.Error(), c.reason)
			}
		})
		require.Zero(t, n)
	})
}

func TestRefusedValuesAreToldByField(t *testing.T) {
	t.Run("accounting", func(t *testing.T) {
		s := onSQLite(t, options{})
		all, err := s.remote.Books("").Contacts(t.Context(), "", "", 2)
		require.NoError(t, err)
		l := ledger{s, s.connectBooks(firmA, sim.OrganisationName), all[0].ID}
		_, err = l.update(l.request(&connectorv1.ClientFields{Name: all[1].Name, Code: "X"}, "name", "code"))
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_RECORD_INVALID)
		requireFields(t, err, "client.name")
		require.Contains(t, rpcerr.From(err).Violations()[0].Description, "already assigned to another contact")
		require.NotContains(t, err.Error(), all[1].Name, "nor in the caller's log")
		require.NotContains(t, s.logs.String(), all[1].Name, "the provider's words about values are for who wrote them")
		require.NotEqual(t, "X", l.fields().GetCode())
		require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE, s.get(l.c.GetName()).GetState())
		_, err = l.update(l.request(&connectorv1.ClientFields{PostalAddress: &connectorv1.Address{Street: "1\n2\n3\n4\n5"}}, "postal_address.street"))
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_RECORD_INVALID)
		requireFields(t, err, "client.postal_address.street")
		_, err = l.update(l.request(&connectorv1.ClientFields{Website: "https://x.example"}, "website"))
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_NOT_SUPPORTED)
	})
	t.Run("XPM", func(t *testing.T) {
		s := onSQLite(t, options{})
		all, err := s.remote.Clients(t.Context(), "", "", 1)
		require.NoError(t, err)
		l := ledger{s, s.connect(firmA, sim.Owner, sim.PracticeName), all[0].UUID}
		s.wire.set(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
			if r.Method == http.MethodGet {
				return send()
			}
			const no = `<Response><Status>ERROR</Status><ErrorDescription>Invalid email address</ErrorDescription></Response>`
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(no))}, nil
		})
		_, err = l.update(l.request(&connectorv1.ClientFields{Email: "a@b", Phone: "1"}, "email", "phone"))
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_RECORD_INVALID)
		requireFields(t, err, "client.email")
		_, err = l.update(l.request(&connectorv1.ClientFields{BirthDate: "1.2.1970"}, "birth_date"))
		requireFields(t, err, "client.birth_date")
		_, err = l.update(l.request(&connectorv1.ClientFields{TaxNumber: "******123"}, "tax_number"))
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_NOT_SUPPORTED)
	})
}

// changes makes the world note every change that is made of a contact, and returns how to count those of this record. At
// XPM, which knows no request again, every request that writes is a change.
func (l ledger) changes() (count func() int) {
	l.t.Helper()
	if l.c.GetProvider() == xero {
		sink := httptest.NewServer(http.NotFoundHandler())
		l.t.Cleanup(sink.Close)
		hook, err := l.remote.Hook(l.t.Context(), remote.NewHook{App: sim.ClientID, URL: sink.URL, Unchecked: true})
		require.NoError(l.t, err)
		return func() int {
			events, err := l.remote.HookEvents(l.t.Context(), hook.ID)
			require.NoError(l.t, err)
			return len(events)
		}
	}
	return nil
}

// TestALostAnswerIsOneWrite: the provider did it and said nothing, once, or until the caller gives up. Whoever asks again
// finds it done.
func TestALostAnswerIsOneWrite(t *testing.T) {
	errLost := errors.New("the answer is lost")
	for name, c := range map[string]struct{ lost, down bool }{
		"one answer":         {lost: true},
		"and nobody to ask":  {lost: true, down: true},
		"the request itself": {},
	} {
		t.Run(name, func(t *testing.T) {
			ledgers(t, options{}, func(t *testing.T, l ledger) {
				req, changes, sent, first := l.request(&connectorv1.ClientFields{Code: "LOST"}, "code"), l.changes(), 0, true
				down := false
				l.wire.set(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
					switch write := r.Method != http.MethodGet; {
					case down:
						return nil, errLost
					case !write:
						return send()
					case first && !c.lost:
						first = false
						return nil, errLost
					case first:
						first, down = false, c.down
						if resp, err := send(); err == nil {
							_ = resp.Body.Close()
						}
						sent++
						return nil, errLost
					}
					sent++
					return send()
				})
				resp, err := l.update(req)
				if c.down {
					requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_PROVIDER_UNAVAILABLE)
					down = false
					resp, err = l.update(req) // at once, and not told to wait for the one before
				}
				l.wire.set(nil)
				require.NoError(t, err)
				require.Equal(t, "LOST", resp.GetRecord().GetClient().GetCode())
				require.Equal(t, "LOST", l.fields().GetCode())
				if changes != nil {
					require.Equal(t, 1, changes(), "exactly one change")
				} else {
					require.Equal(t, 1, sent, "exactly one request")
				}
				again, err := l.update(req)
				require.NoError(t, err)
				require.Equal(t, resp.GetRecord().GetHash(), again.GetRecord().GetHash())
			})
		})
	}
}

// TestAnUpdateIsDoneButNotWrittenDown: the process dies, or its database does, between the provider's answer and the end.
func TestAnUpdateIsDoneButNotWrittenDown(t *testing.T) {
	f := sqldbtest.NewFaults()
	ledgers(t, options{faults: f}, func(t *testing.T, l ledger) {
		req := l.request(&connectorv1.ClientFields{Code: "DONE"}, "code")
		written := false
		l.wire.set(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
			resp, err := send()
			if r.Method != http.MethodGet && !written {
				written = true
				f.FailExec("UPDATE idem_requests", 100)
			}
			return resp, err
		})
		_, err := l.update(req)
		require.Error(t, err)
		require.True(t, written)
		f.FailExec("", 0)
		_, err = l.update(req)
		require.ErrorContains(t, err, "being worked on", "whoever did it may be at work still")
		l.clock.forward(5 * time.Minute)
		n := l.writes(func() {
			resp, err := l.update(req)
			require.NoError(t, err)
			require.Equal(t, "DONE", resp.GetRecord().GetClient().GetCode())
		})
		require.Zero(t, n)
	})
}

// TestSomebodyElseWasFaster: while an answer was lost, somebody changed the record: what was to be written is not what is
// there, and is not written over it.
func TestSomebodyElseWasFaster(t *testing.T) {
	ledgers(t, options{}, func(t *testing.T, l ledger) {
		req := l.request(&connectorv1.ClientFields{Code: "MINE"}, "code")
		theirs := func() {
			if l.c.GetProvider() == xero {
				_, err := l.remote.Books("").Edit(t.Context(), remote.PartyIDs(l.id), remote.PartyEdit{Fields: map[string]string{"AccountNumber": "THEIRS"}})
				require.NoError(t, err)
				return
			}
			_, err := l.remote.Update(t.Context(), l.id, map[string]string{"ExportCode": "THEIRS"})
			require.NoError(t, err)
		}
		writes := 0
		l.wire.set(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
			if r.Method == http.MethodGet {
				return send()
			}
			if writes++; writes == 1 {
				theirs()
			}
			return nil, errors.New("lost before it came there")
		})
		_, err := l.update(req)
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_RECORD_MOVED)
		l.wire.set(nil)
		require.Equal(t, "THEIRS", l.fields().GetCode())
	})
}

func TestArchiveRecord(t *testing.T) {
	ledgers(t, options{}, func(t *testing.T, l ledger) {
		archive := func(request string) (*connectorv1.ArchiveRecordResponse, error) {
			return l.records.ArchiveRecord(l.asService("sync", firmA), &connectorv1.ArchiveRecordRequest{
				Connection: l.c.GetName(), RecordId: l.id, RequestId: request})
		}
		first := uuid.NewString()
		n := l.writes(func() {
			resp, err := archive(first)
			require.NoError(t, err)
			require.Equal(t, connectorv1.RecordState_RECORD_STATE_ARCHIVED, resp.GetRecord().GetState())
			require.EqualValues(t, 2, resp.GetCalls())
			_, err = archive(first)
			require.NoError(t, err)
			resp, err = archive(uuid.NewString())
			require.NoError(t, err)
			require.EqualValues(t, 1, resp.GetCalls(), "one that is archived is answered as it is")
		})
		require.Equal(t, 1, n)
		require.Equal(t, connectorv1.RecordState_RECORD_STATE_ARCHIVED, l.record(l.c, l.id).GetState())
		_, err := l.records.ArchiveRecord(l.asService("sync", firmA), &connectorv1.ArchiveRecordRequest{Connection: l.c.GetName(), RecordId: uuid.NewString()})
		requireReason(t, err, connectorv1.ErrorReason_ERROR_REASON_RECORD_MOVED)
	})
}
