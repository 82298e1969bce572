package cabinet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	"github.com/concord-suite/concord/services/documents/internal/filing"
	"github.com/concord-suite/concord/services/documents/internal/signing"
	"github.com/concord-suite/concord/services/documents/internal/store"
	"github.com/concord-suite/concord/services/documents/internal/store/cabinet"
)

func (r *rig) answer(request, contact, seen string, sign bool) (signing.Request, error) {
	return try(r, func(tx *sqldb.Tx) (signing.Request, error) {
		return r.c.AnswerRequest(tx, cabinet.Answer{Firm: r.firm, Request: request, Contact: contact, Name: "contact", Sign: sign, Seen: seen,
			Evidence: signing.Evidence{Session: "s", Address: "203.0.113.7"}})
	})
}

func TestSigning(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Signer")
		a, b, stranger := r.relate(client), r.relate(client), r.relate()
		d := r.file(folder, "contract.pdf")
		require.False(r.t, d.Published)
		job := do(r, func(tx *sqldb.Tx) (signing.Job, error) {
			return r.c.SendLetter(tx, cabinet.Letter{Firm: r.firm, Client: client, Subject: "Sign", Documents: []string{d.ID},
				ForSignature: []string{d.ID}, Recipients: []string{a, b}, SentBy: actor})
		})
		require.Len(r.t, job.Requests, 2)
		require.Len(r.t, job.Deliveries, 2)
		require.Equal(r.t, 1, job.OpenDocuments())
		require.True(r.t, r.document(d.ID).Published, "what is sent is shown")
		require.True(r.t, r.document(d.ID).SignatureOpen)
		require.EqualValues(r.t, 1, told[*documentseventsv1.EmailJobSent](r)[0].GetForSignature())
		_, err := try(r, func(tx *sqldb.Tx) (any, error) { return r.c.PublishDocument(tx, r.firm, d.ID, false) })
		require.ErrorIs(r.t, err, filing.ErrSignatureOpen)

		of := func(contact string) string {
			for _, one := range job.Requests {
				if one.Contact == contact {
					return one.ID
				}
			}
			return ""
		}
		_, err = r.answer(of(a), stranger, d.SHA256, true)
		require.ErrorIs(r.t, err, filing.ErrNotFound)
		_, err = r.answer(of(a), b, d.SHA256, true)
		require.ErrorIs(r.t, err, filing.ErrNotFound, "it is addressed to somebody else")
		_, err = r.answer(of(a), a, r.arrived("other").Key.SHA256, true)
		require.ErrorIs(r.t, err, signing.ErrOtherContent)
		signed, err := r.answer(of(a), a, d.SHA256, true)
		require.NoError(r.t, err)
		require.Equal(r.t, signing.Signed, signed.State)
		require.Equal(r.t, "203.0.113.7", signed.Evidence.Address)
		require.Empty(r.t, told[*documentseventsv1.SignatureCompleted](r), "one signature is still open")
		_, err = r.answer(of(a), a, d.SHA256, true)
		require.ErrorIs(r.t, err, signing.ErrClosed)
		_, err = r.answer(of(b), b, d.SHA256, false)
		require.NoError(r.t, err)
		completed := told[*documentseventsv1.SignatureCompleted](r)
		require.Len(r.t, completed, 1)
		require.Contains(r.t, completed[0].GetTrail().GetSummary(), "declined")
		require.False(r.t, r.document(d.ID).SignatureOpen)
		_, err = try(r, func(tx *sqldb.Tx) (any, error) { return r.c.WithdrawRequest(tx, r.firm, of(b), "x", actor) })
		require.ErrorIs(r.t, err, signing.ErrClosed)
	})
}

func TestAContactThatNoLongerRelatesCanNotSign(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Signer")
		contact := r.relate(client)
		d := r.file(folder, "contract.pdf")
		job := r.letter(client, contact, d.ID)
		require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error {
			return r.c.RelateContact(tx, store.Scope{Firm: r.firm, Contact: contact}, 2)
		}))
		_, err := r.answer(job.Requests[0].ID, contact, d.SHA256, true)
		require.ErrorIs(r.t, err, filing.ErrNotFound)
		require.NoError(r.t, r.tx(func(tx *sqldb.Tx) error { // older than what is known
			return r.c.RelateContact(tx, store.Scope{Firm: r.firm, Contact: contact, Clients: []string{client}}, 1)
		}))
		_, err = r.answer(job.Requests[0].ID, contact, d.SHA256, true)
		require.ErrorIs(r.t, err, filing.ErrNotFound)
	})
}

func TestALetterThatDoesNotFit(t *testing.T) {
	each(t, func(r *rig) {
		client, folder := r.client("Letters")
		other, otherFolder := r.client("Other")
		mine, theirs := r.file(folder, "mine"), r.file(otherFolder, "theirs")
		contact, stranger := r.relate(client), r.relate(other)
		before := r.clientRow(client)
		for _, c := range []struct {
			field  string
			letter cabinet.Letter
		}{
			{"documents[1]", cabinet.Letter{Documents: []string{mine.ID, theirs.ID}, Recipients: []string{contact}}},
			{"documents[0]", cabinet.Letter{Documents: []string{newID()}, Recipients: []string{contact}}},
			{"for_signature[0]", cabinet.Letter{Documents: []string{mine.ID}, ForSignature: []string{theirs.ID}, Recipients: []string{contact}}},
			{"recipients[1]", cabinet.Letter{Documents: []string{mine.ID}, Recipients: []string{contact, stranger}}},
		} {
			c.letter.Firm, c.letter.Client, c.letter.SentBy = r.firm, client, actor
			_, err := try(r, func(tx *sqldb.Tx) (any, error) { return r.c.SendLetter(tx, c.letter) })
			var field *cabinet.FieldError
			require.ErrorAs(r.t, err, &field)
			require.Equal(r.t, c.field, field.Field)
		}
		require.Equal(r.t, before, r.clientRow(client), "nothing changed")
		require.False(r.t, r.document(mine.ID).Published)
		first := r.letter(client, contact, mine.ID)
		second := r.letter(other, stranger, theirs.ID)
		require.EqualValues(r.t, 1, first.Number, "what was refused took no number")
		require.EqualValues(r.t, 2, second.Number)
	})
}
