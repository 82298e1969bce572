package api

import (
	"context"
	"math"

	"github.com/concord-suite/concord/platform/sqldb"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/store"
	"google.golang.org/grpc"
)

// listed returns a client whose history may be seen: history goes with its client.
func listed(tx *sqldb.Tx, firm, id string) (client.Client, error) {
	c, err := store.Client(tx, firm, id)
	if err != nil {
		return c, found(err)
	}
	if !c.State.InList() {
		return c, errNotListed.Messagef("the client has left, and its history with it; the filed CSV has it")
	}
	return c, nil
}

// ListClientHistory implements ClientService.
func (s *clients) ListClientHistory(ctx context.Context, req *syncv1.ListClientHistoryRequest) (*syncv1.ListClientHistoryResponse, error) {
	ids, err := parse("parent", clientPattern, req.GetParent())
	if err != nil {
		return nil, err
	}
	at, err := from(ctx, req, place{At: math.MaxInt64})
	if err != nil {
		return nil, err
	}
	size := pageSize(req.GetPageSize())
	var page []history.Entry
	err = s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		c, err := listed(tx, ids[0], ids[1])
		if err != nil {
			return err
		}
		page, err = store.History(tx, c.ID, req.GetKind(), at.At, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp := &syncv1.ListClientHistoryResponse{}
	if len(page) > size {
		page = page[:size]
		resp.NextPageToken = place{At: page[size-1].Seq, ID: ids[1]}.token(ctx, req)
	}
	for _, e := range page {
		resp.Entries = append(resp.Entries, historyMessage(e))
	}
	return resp, nil
}

// exportPage is how many entries are read at a time: memory stays the same however long the history is.
const exportPage = 1000

// ExportClientHistory implements ClientService.
func (s *clients) ExportClientHistory(req *syncv1.ExportClientHistoryRequest, stream grpc.ServerStreamingServer[syncv1.ExportClientHistoryResponse]) error {
	ids, err := parse("parent", clientPattern, req.GetParent())
	if err != nil {
		return err
	}
	out := &responses{stream: stream}
	csv, err := history.NewCSV(out)
	if err != nil {
		return err
	}
	var upTo int64
	for after, first := int64(0), true; first || after < upTo; first = false {
		var page []history.Entry
		err := s.DB.Read(stream.Context(), func(tx *sqldb.Tx) error {
			c, err := listed(tx, ids[0], ids[1])
			if err != nil {
				return err
			}
			if first {
				upTo = c.HistorySeq // what happens while it is read is for the next export
			}
			page, err = store.HistoryUpTo(tx, c.ID, req.GetKind(), after, upTo, exportPage)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := csv.Write(e); err != nil {
				return err
			}
		}
		if after = upTo; len(page) == exportPage {
			after = page[len(page)-1].Seq
		}
	}
	if err := csv.Flush(); err != nil {
		return err
	}
	return out.flush()
}

// responses gathers what is written into messages of up to 64 KiB.
type responses struct {
	stream grpc.ServerStreamingServer[syncv1.ExportClientHistoryResponse]
	buf    []byte
}

const responseSize = 64 << 10

// Write implements io.Writer.
func (r *responses) Write(b []byte) (int, error) {
	r.buf = append(r.buf, b...)
	if len(r.buf) < responseSize {
		return len(b), nil
	}
	return len(b), r.flush()
}

func (r *responses) flush() error {
	if len(r.buf) == 0 {
		return nil
	}
	data := r.buf
	r.buf = nil // the sent one may still be on its way
	return r.stream.Send(&syncv1.ExportClientHistoryResponse{Data: data})
}
