package api

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/api/wire"
	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/upstream"
	"github.com/concord-suite/concord/services/connector/internal/record"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// position is what a resume token holds.
type position struct {
	// Connection and Listing are what it is of.
	Connection string           `json:"c"`
	Listing    provider.Listing `json:"l"`
	// Token is the provider's, Page the number of the last page it comes after.
	Token string `json:"t"`
	Page  int    `json:"n"`
	// Drifted and Last are the state of the watch over the listing.
	Drifted bool   `json:"d,omitempty"`
	Last    string `json:"o,omitempty"`
}

func (p position) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		return "" // no such value: strings, numbers and a flag
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// maxToken bounds a resume token, as the contract bounds the field it comes back in.
const maxToken = 4096

// parsePosition reads a resume token of a listing; an empty one is the beginning.
func parsePosition(token, connection string, listing provider.Listing) (position, error) {
	p := position{Connection: connection, Listing: listing}
	if token == "" {
		return p, nil
	}
	var said position
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || json.Unmarshal(text, &said) != nil || said.Connection != connection || said.Listing != listing || said.Page < 0 {
		return p, rpcerr.Default(codes.InvalidArgument).Field("page_token", "invalid", "is not a token of this listing")
	}
	return said, nil
}

// listing is one listing on its way.
type listing struct {
	records *Records
	conn    connection.Connection
	query   provider.Query
	at      position
	whole   bool // read from its beginning
	caller  *upstream.Caller
	pages   provider.Pages
	watch   *record.Watch
	sample  *record.Sample
	calls   int
}

func newListing(s *Records, c connection.Connection, q provider.Query, from position, caller *upstream.Caller, pages provider.Pages) *listing {
	return &listing{records: s, conn: c, query: q, at: from, whole: from.Token == "", caller: caller, pages: pages,
		watch: record.NewWatch(from.Drifted, from.Last), sample: record.NewSample(c.Sample)}
}

// maxPages bounds a listing whose pages never end: 20,000 are two million records of the provider with the smallest pages.
const maxPages = 20_000

// page reads one page and sends it. It reports whether it was the last.
func (l *listing) page(ctx context.Context, send func(*connectorv1.StreamRecordsResponse) error) (last bool, err error) {
	page, err := l.pages.Next(ctx)
	if err != nil {
		return false, err
	}
	last = page.Next == ""
	if !last && l.at.Page >= maxPages {
		return false, reason.AnswerInvalid.Messagef("the provider's listing has no end; nothing was concluded from it")
	}
	switch {
	case l.query.Listing == provider.ChangedClients, l.query.Listing == provider.LegacyIDs: // in one piece: there is nothing to move
	case page.Gathered:
		l.watch.Gathered(page.Records, page.Drifted)
	default:
		l.watch.Page(page.Records, page.Size, !last)
	}
	if err := l.recognise(ctx, page, last); err != nil {
		return false, err
	}
	before := l.at
	l.at.Token = page.Next
	l.at.Page++
	l.at.Drifted, l.at.Last = l.watch.State()
	resp := &connectorv1.StreamRecordsResponse{
		Page: int32(l.at.Page), Complete: last, AnnouncedTotal: page.Total, ServerTime: timestamppb.New(page.ServerTime),
		TenantId: l.conn.TenantID, Drifted: l.watch.Drifted(),
	}
	if !last {
		if resp.ResumeToken = l.at.String(); len(resp.ResumeToken) > maxToken {
			return false, reason.AnswerInvalid.Messagef("the provider's page token is longer than a token can be")
		}
	}
	return last, l.send(resp, page.Records, before.String(), send)
}

// recognise looks whether the listing is of the practice that the connection had before.
func (l *listing) recognise(ctx context.Context, page provider.Page, last bool) error {
	if l.query.Listing != provider.Clients || !l.whole {
		return nil
	}
	for _, r := range page.Records {
		l.sample.Add(r.ID)
	}
	switch {
	case !last:
		return nil
	case l.sample.Strange():
		return reason.AnswerInvalid.Messagef("none of the clients of the last complete listing is in this one: " +
			"it looks like another practice's, and nothing was concluded from it")
	case l.watch.Drifted() || l.sample.String() == "":
		return nil
	}
	return l.records.DB.Tx(ctx, func(tx *sqldb.Tx) error { return store.NoteSample(tx, l.conn.Ref, l.sample.String()) })
}

// maxMessage bounds the records of one message. The suite's messages have 4 MiB at most; a page of 500 clients has about
// a half.
const maxMessage = 3 << 20

// send sends a page, in several messages when it is too large for one. Who was interrupted between them asks for the
// whole page again.
func (l *listing) send(resp *connectorv1.StreamRecordsResponse, records []record.Record, again string, send func(*connectorv1.StreamRecordsResponse) error) error {
	size := 0
	for _, r := range records {
		w := wire.ToRecord(r.Within(l.conn.Options.ContactTypes))
		n := proto.Size(w)
		if size+n > maxMessage && len(resp.Records) > 0 {
			part := proto.CloneOf(resp)
			part.ResumeToken, part.Complete = again, false
			if err := send(part); err != nil {
				return err
			}
			resp.Records, size = nil, 0
		}
		resp.Records = append(resp.Records, w)
		size += n
	}
	resp.Calls = int32(l.caller.Calls() - l.calls)
	l.calls = l.caller.Calls()
	return send(resp)
}
