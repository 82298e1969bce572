package documents_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/access/accesstest"
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
	"github.com/concord-suite/concord/services/documents"
)

func (s *suite) begin(client, offboarding string, override bool) (*documentsv1.BeginOffboardingResponse, error) {
	return s.offboardings.BeginOffboarding(s.saga(), &documentsv1.BeginOffboardingRequest{Client: client, Offboarding: offboarding,
		Override: override, Reason: "left"})
}

func (s *suite) commit(client, offboarding string) *documentsv1.CommitOffboardingResponse {
	s.t.Helper()
	resp, err := s.offboardings.CommitOffboarding(s.saga(), &documentsv1.CommitOffboardingRequest{Client: client, Offboarding: offboarding})
	require.NoError(s.t, err)
	return resp
}

// file files what the suite made, in pieces.
func (s *suite) file(ctx context.Context, client, key, name string, content []byte) (*documentsv1.FileSystemDocumentResponse, error) {
	return s.fileAs(ctx, &documentsv1.FileSystemDocumentRequest{Firm: firmA, Client: client, DisplayName: name, MediaType: "text/csv",
		Key: key}, content)
}

func (s *suite) fileAs(
	ctx context.Context, head *documentsv1.FileSystemDocumentRequest, content []byte,
) (*documentsv1.FileSystemDocumentResponse, error) {
	stream, err := s.documents.FileSystemDocument(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(head); err != nil && err != io.EOF {
		return nil, err
	}
	for len(content) > 0 {
		n := min(len(content), 1<<20)
		if err := stream.Send(&documentsv1.FileSystemDocumentRequest{Data: content[:n]}); err != nil && err != io.EOF {
			return nil, err
		}
		content = content[n:]
	}
	return stream.CloseAndRecv()
}

// A client leaves as the saga leads it, and comes back.
func TestTheWholeDeparture(t *testing.T) { each(t, options{run: true}, wholeDeparture) }

func wholeDeparture(t *testing.T, s *suite) {
	s.t = t
	s.fresh()
	client, folder := s.list.client("Leaver Ltd")
	contact := s.list.person("C", "c@example.com", client)
	d := s.upload(s.staff(), folder, "contract.pdf", []byte("contract"))
	job, err := s.send(client, []string{contact}, d)
	require.NoError(t, err)
	preview, err := s.offboardings.PreviewOffboarding(s.saga(), &documentsv1.PreviewOffboardingRequest{Client: client})
	require.NoError(t, err)
	require.Equal(t, folder, preview.GetFolder())
	require.EqualValues(t, 1, preview.GetDocumentCount())
	offboarding := firmA + "/offboardings/" + id()
	begun, err := s.begin(client, offboarding, false)
	require.NoError(t, err)
	require.Len(t, begun.GetBlockers(), 1)
	require.Equal(t, "SIGNATURE_OPEN", begun.GetBlockers()[0].GetKind())
	require.Equal(t, "email job 1 holds 1 document for signature", begun.GetBlockers()[0].GetDescription())
	require.Equal(t, job.GetName(), begun.GetBlockers()[0].GetResource())
	require.Equal(t, preview.GetBlockers()[0].GetDescription(), begun.GetBlockers()[0].GetDescription())

	require.NoError(t, s.sign(contact, job.GetSignatureRequests()[0], true, d.GetSha256()))
	begun, err = s.begin(client, offboarding, false)
	require.NoError(t, err)
	require.Empty(t, begun.GetBlockers())
	require.EqualValues(t, 3, begun.GetTrailSequence(), "filed, sent, signed")
	_, err = s.send(client, []string{contact}, d)
	s.refused(err, codes.FailedPrecondition, "CLIENT_FENCED")
	_, err = s.begin(client, firmA+"/offboardings/"+id(), false)
	s.refused(err, codes.FailedPrecondition, "CLIENT_FENCED")

	csv := make([]byte, 2<<20+17) // in three pieces
	filed, err := s.file(s.saga(), client, "history/1", "Leaver Ltd history.csv", csv)
	require.NoError(t, err)
	require.False(t, filed.GetInRecordsFolder())
	require.Equal(t, "system", filed.GetDocument().GetFiledBy())
	require.EqualValues(t, len(csv), filed.GetDocument().GetSize())
	again, err := s.file(s.saga(), client, "history/1", "Leaver Ltd history.csv", csv)
	require.NoError(t, err)
	require.Equal(t, filed.GetDocument().GetName(), again.GetDocument().GetName())
	replaced, err := s.file(s.saga(), client, "history/1", "Leaver Ltd history.csv", []byte("shorter"))
	require.NoError(t, err)
	require.Equal(t, filed.GetDocument().GetName(), replaced.GetDocument().GetName())
	require.Equal(t, []byte("shorter"), s.download(s.staff(), replaced.GetDocument().GetName()))

	for range 3 {
		left := s.commit(client, offboarding)
		require.Equal(t, folder, left.GetFolder())
		require.False(t, left.GetRemoved())
		require.EqualValues(t, 2, left.GetDocumentCount())
	}
	_, err = s.offboardings.AbortOffboarding(s.saga(), &documentsv1.AbortOffboardingRequest{Client: client, Offboarding: offboarding})
	s.refused(err, codes.FailedPrecondition, "ALREADY_COMMITTED")
	orphan := s.folder(folder)
	require.Equal(t, documentsv1.FolderKind_FOLDER_KIND_ORPHANED_BUSINESS, orphan.GetKind())
	require.Equal(t, "green", orphan.GetColor())
	require.Equal(t, client, orphan.GetClient())
	jobs, err := s.jobs.ListEmailJobs(s.staff(), &documentsv1.ListEmailJobsRequest{Parent: firmA})
	require.NoError(t, err)
	require.Empty(t, jobs.GetEmailJobs(), "the jobs left the grid")

	s.grant(true)
	_, err = s.delete(folder, 2)
	require.NoError(t, err)
	back, err := s.offboardings.ReverseOffboarding(s.saga(), &documentsv1.ReverseOffboardingRequest{Client: client, Offboarding: offboarding,
		DisplayName: "Leaver & Co"})
	require.NoError(t, err)
	require.Equal(t, folder, back.GetFolder())
	require.EqualValues(t, 2, back.GetDocumentCount())
	require.Empty(t, back.GetMissing())
	require.Equal(t, "Leaver & Co", s.folder(folder).GetDisplayName())
	require.Equal(t, documentsv1.FolderKind_FOLDER_KIND_CLIENT, s.folder(folder).GetKind())
	jobs, err = s.jobs.ListEmailJobs(s.staff(), &documentsv1.ListEmailJobsRequest{Parent: firmA})
	require.NoError(t, err)
	require.Len(t, jobs.GetEmailJobs(), 1)
}

func TestAnAbortedOffboardingCantBegin(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		s.t = t
		client, _ := s.list.client("Stayer")
		offboarding := firmA + "/offboardings/" + id()
		_, err := s.offboardings.AbortOffboarding(s.saga(), &documentsv1.AbortOffboardingRequest{Client: client, Offboarding: offboarding})
		require.NoError(t, err)
		_, err = s.begin(client, offboarding, false)
		s.refused(err, codes.FailedPrecondition, "ALREADY_ABORTED")
		_, err = s.begin(client, firmA+"/offboardings/"+id(), false)
		require.NoError(t, err)
	})
}

// What the saga files for an off-boarding: the newest stays, with word of what landed meanwhile, and goes when it is aborted.
func TestHistoryOfAnOffboarding(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		s.t = t
		client, folder := s.list.client("Filing")
		offboarding := firmA + "/offboardings/" + id()
		begun, err := s.begin(client, offboarding, false)
		require.NoError(t, err)
		d := s.upload(s.staff(), folder, "late.txt", []byte("late"))
		head := func(revision int64) *documentsv1.FileSystemDocumentRequest {
			return &documentsv1.FileSystemDocumentRequest{Firm: firmA, Client: client, DisplayName: "h.csv", MediaType: "text/csv",
				Key: offboarding, Revision: revision, Offboarding: offboarding}
		}
		filed, err := s.fileAs(s.saga(), head(5), []byte("five"))
		require.NoError(t, err)
		require.EqualValues(t, 5, filed.GetRevision())
		require.Equal(t, begun.GetTrailSequence()+1, filed.GetTrailSequence(), "an upload has landed after the fence")
		trail, err := s.offboardings.ReadClientTrail(s.saga(), &documentsv1.ReadClientTrailRequest{Client: client,
			AfterSequence: begun.GetTrailSequence()})
		require.NoError(t, err)
		require.Len(t, trail.GetEvents(), 1)
		require.Equal(t, d.GetName(), trail.GetEvents()[0].GetResource())
		require.Equal(t, filed.GetTrailSequence(), trail.GetEvents()[0].GetSequence())
		require.Equal(t, d.GetFiledBy(), trail.GetEvents()[0].GetActor())
		require.False(t, trail.GetEvents()[0].GetOccurTime().AsTime().IsZero())
		late, err := s.fileAs(s.saga(), head(4), []byte("four"))
		require.NoError(t, err)
		require.Equal(t, filed.GetDocument().GetSha256(), late.GetDocument().GetSha256())
		require.EqualValues(t, 5, late.GetRevision())

		_, err = s.offboardings.AbortOffboarding(s.saga(), &documentsv1.AbortOffboardingRequest{Client: client, Offboarding: offboarding})
		require.NoError(t, err)
		_, err = s.documents.GetDocument(s.staff(), &documentsv1.GetDocumentRequest{Name: filed.GetDocument().GetName()})
		s.refused(err, codes.NotFound, "NOT_FOUND")
		_, err = s.fileAs(s.saga(), head(6), []byte("six"))
		s.refused(err, codes.FailedPrecondition, "ALREADY_ABORTED")
		require.EqualValues(t, 1, s.folder(folder).GetDocumentCount())
	})
}

func TestWhatFilingRefuses(t *testing.T) {
	s := onSQLite(t, options{})
	_, err := s.file(s.saga(), "", "", "", nil)
	e := s.refused(err, codes.InvalidArgument, "INVALID_REQUEST")
	require.Len(t, e.Violations(), 3)
	_, err = s.file(s.saga(), firmB+"/clients/"+id(), "k", "n", nil)
	s.refused(err, codes.NotFound, "NOT_FOUND")
	_, err = s.file(s.admin(), firmA+"/clients/"+id(), "k", "n", nil)
	s.refused(err, codes.PermissionDenied, "PERMISSION_DENIED")
	filed, err := s.file(s.saga(), firmA+"/clients/"+id(), "k", "empty.csv", nil)
	require.NoError(t, err)
	require.True(t, filed.GetInRecordsFolder())
	require.Equal(t, "Off-boarding records", s.folder(filed.GetDocument().GetFolder()).GetDisplayName())
	require.Contains(t, s.auditActions(), "/concord.documents.v1.DocumentService/FileSystemDocument")
	preview, err := s.offboardings.PreviewOffboarding(s.saga(), &documentsv1.PreviewOffboardingRequest{Client: firmA + "/clients/" + id()})
	require.NoError(t, err)
	require.Empty(t, preview.GetFolder(), "a client nobody filed anything for leaves nothing behind")
}

// The client list is heard as it speaks: out of order, more than once, over a bus that loses everything once.
func TestEventsOutOfOrderAndTwice(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		s.t = t
		client, folder := s.list.client("Order")
		s.upload(s.staff(), folder, "a.txt", []byte("a"))
		offboarding := firmA + "/offboardings/" + id()
		archived := &synceventsv1.ClientArchived{Client: client, Offboarding: offboarding}
		restored := &synceventsv1.ClientRestored{Client: client, Offboarding: offboarding, DisplayName: "Order restored"}
		for range 3 {
			s.list.sayAs("clients/"+client, 3, restored)
			s.list.sayAs("clients/"+client, 2, archived)
		}
		s.list.sayAs("clients/"+client, 4, &synceventsv1.ClientUpdated{Client: client, DisplayName: "Order at last"})
		eventstest.Until(t, "the last name is known", func() bool { return s.folder(folder).GetDisplayName() == "Order at last" })
		require.Equal(t, documentsv1.FolderKind_FOLDER_KIND_CLIENT, s.folder(folder).GetKind())

		second := firmA + "/offboardings/" + id()
		s.nats.Wipe(t)
		s.list.sayAs("clients/"+client, 5, &synceventsv1.ClientArchived{Client: client, Offboarding: second})
		eventstest.Until(t, "the folder is orphaned", func() bool {
			return s.folder(folder).GetKind() == documentsv1.FolderKind_FOLDER_KIND_ORPHANED_BUSINESS
		})
		require.Equal(t, folder, s.commit(client, second).GetFolder(), "the call that comes later finds it done")
	})
}

// An event that names nothing of its firm is put aside with words for the operator.
func TestAnEventThatMakesNoSense(t *testing.T) {
	s := onSQLite(t, options{run: true})
	s.fresh()
	s.list.sayAs("clients/x", 1, &synceventsv1.ClientCreated{Client: firmB + "/clients/" + id(), DisplayName: "Theirs"})
	var parked []events.Parked
	eventstest.Until(t, "the event is put aside", func() bool {
		var err error
		parked, err = events.ListParked(t.Context(), s.db, documents.Name, "", "", 10)
		require.NoError(t, err)
		return len(parked) == 1
	})
	require.Contains(t, parked[0].Reason, "the event names nothing of its firm")
	require.NotContains(t, parked[0].Reason, "Theirs")
	require.NoError(t, events.Discard(t.Context(), s.db, documents.Name, parked[0].ID, "operator", "made by a test"))
}

// What documents tells arrives, once for each thing that happened, with no gap on a client's trail.
func TestEventsThatAreTold(t *testing.T) {
	s := onSQLite(t, options{run: true})
	s.fresh()
	client, folder := s.list.client("Told")
	contact := s.list.person("C", "c@example.com", client)
	var mu sync.Mutex
	var trails []int64
	orphaned := make(chan *documentseventsv1.FolderOrphaned, 8)
	db := sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), events.Schema)
	c := events.NewConsumer(db, s.bus, "listener", events.ConsumerOptions{})
	note := func(trail *documentseventsv1.ClientTrail) {
		mu.Lock()
		defer mu.Unlock()
		if trail.GetClient() == client {
			trails = append(trails, trail.GetSequence())
		}
	}
	events.Handle(c, func(_ context.Context, _ *sqldb.Tx, _ events.Meta, e *documentseventsv1.DocumentFiled) error {
		note(e.GetTrail())
		return nil
	})
	events.Handle(c, func(_ context.Context, _ *sqldb.Tx, _ events.Meta, e *documentseventsv1.EmailJobSent) error {
		note(e.GetTrail())
		return nil
	})
	events.Handle(c, func(_ context.Context, _ *sqldb.Tx, _ events.Meta, e *documentseventsv1.SignatureCompleted) error {
		note(e.GetTrail())
		return nil
	})
	events.Handle(c, func(_ context.Context, _ *sqldb.Tx, _ events.Meta, e *documentseventsv1.FolderOrphaned) error {
		orphaned <- e
		return nil
	})
	s.run(c.Run)
	for range 3 {
		d := s.upload(s.staff(), folder, "a.txt", []byte("a"))
		_, err := s.send(client, []string{contact}, d)
		require.NoError(t, err)
	}
	offboarding := firmA + "/offboardings/" + id()
	begun, err := s.begin(client, offboarding, true)
	require.NoError(t, err)
	_, err = s.file(s.saga(), client, "history/1", "history.csv", []byte("csv"))
	require.NoError(t, err)
	eventstest.Until(t, "everything up to the fence was told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return int64(len(trails)) == begun.GetTrailSequence()
	})
	require.EqualValues(t, 9, begun.GetTrailSequence(), "three filed, three sent, three withdrawn; the history itself is not history")
	seen := map[int64]bool{}
	for _, place := range trails {
		seen[place] = true
	}
	require.Len(t, seen, 9)
	s.commit(client, offboarding)
	select {
	case e := <-orphaned:
		require.Equal(t, offboarding, e.GetOffboarding())
		require.Equal(t, folder, e.GetFolder())
		require.EqualValues(t, 4, e.GetDocumentCount())
	case <-time.After(eventstest.Wait):
		t.Fatal("FolderOrphaned was not told")
	}
}

// A fence and an email job at the same moment, by calls.
func TestBeginAgainstEmailJobs(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		s.t = t
		s.fresh()
		for range 8 {
			client, folder := s.list.client("Race")
			contact := s.list.person("C", "c@example.com", client)
			d := s.upload(s.staff(), folder, "a.txt", []byte("a"))
			offboarding := firmA + "/offboardings/" + id()
			var wg sync.WaitGroup
			var begun *documentsv1.BeginOffboardingResponse
			var beginErr, sendErr error
			wg.Go(func() { begun, beginErr = s.begin(client, offboarding, false) })
			wg.Go(func() { _, sendErr = s.send(client, []string{contact}, d) })
			wg.Wait()
			require.NoError(t, beginErr)
			if len(begun.GetBlockers()) == 0 {
				require.Equal(t, "CLIENT_FENCED", rpcerr.Reason(sendErr))
			} else {
				require.NoError(t, sendErr)
			}
		}
	})
}

// The saga acts for somebody, and that is who history names.
func TestWhoActs(t *testing.T) {
	s := onSQLite(t, options{run: true})
	s.fresh()
	client, folder := s.list.client("Who")
	contact := s.list.person("C", "c@example.com", client)
	addIn := accesstest.Of(access.AddIn, accesstest.FirmA)
	d := s.upload(s.by(addIn), folder, "a.txt", []byte("a"))
	require.Equal(t, firmA+"/staff/"+addIn.ActsFor.Account, d.GetFiledBy())
	_, err := s.send(client, []string{contact}, d)
	require.NoError(t, err)
	_, err = s.begin(client, firmA+"/offboardings/"+id(), true)
	require.NoError(t, err)
	var payload []byte
	require.NoError(t, s.db.QueryRow(t.Context(), `SELECT payload FROM events_outbox WHERE subject = 'documents.v1.signature_completed'`).Scan(&payload))
	var e documentseventsv1.SignatureCompleted
	require.NoError(t, proto.Unmarshal(payload, &e))
	require.Equal(t, firmA+"/staff/"+accesstest.Of(access.Administrator, "").ID, e.GetTrail().GetActor())
	require.Contains(t, e.GetTrail().GetSummary(), "left")
}
