package cabinet

import (
	"github.com/concord-suite/concord/platform/events"
	"github.com/concord-suite/concord/platform/sqldb"
	documentseventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
)

// Told is an event about a client, as client history keeps it.
type Told struct {
	// Subject is what it was told under, Resource the document, folder or email job it is about.
	Subject, Resource string
	Trail             *documentseventsv1.ClientTrail
}

// TrailAfter reads up to limit of the events about a client that follow a place on its trail, in their order.
func (c *Cabinet) TrailAfter(tx *sqldb.Tx, firm, client string, after int64, limit int) ([]Told, error) {
	emitted, err := events.ToldOf(tx, firm, trailOf(client), after, limit)
	if err != nil {
		return nil, err
	}
	told := make([]Told, 0, len(emitted))
	for _, e := range emitted {
		t := Told{Subject: e.Subject}
		switch m := e.Message.(type) {
		case *documentseventsv1.DocumentFiled:
			t.Trail, t.Resource = m.GetTrail(), m.GetDocument()
		case *documentseventsv1.DocumentsArchived:
			t.Trail, t.Resource = m.GetTrail(), m.GetFolder()
		case *documentseventsv1.EmailJobSent:
			t.Trail, t.Resource = m.GetTrail(), m.GetEmailJob()
		case *documentseventsv1.SignatureCompleted:
			t.Trail, t.Resource = m.GetTrail(), m.GetEmailJob()
		}
		told = append(told, t)
	}
	return told, nil
}
