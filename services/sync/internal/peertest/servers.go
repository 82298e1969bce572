package peertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
)

type records struct {
	connectorv1.UnimplementedRecordServiceServer
	w *World
}

func hash(m proto.Message) string {
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func (c *Client) record() *connectorv1.Record {
	state := connectorv1.RecordState_RECORD_STATE_ACTIVE
	if c.Archived {
		state = connectorv1.RecordState_RECORD_STATE_ARCHIVED
	}
	if c.made == nil { // made once per change: large practices are listed often
		f := proto.Clone(c.Fields).(*connectorv1.ClientFields)
		bare := proto.Clone(f).(*connectorv1.ClientFields)
		bare.Groups = nil // no part of the hash: not every listing carries them
		c.made = &connectorv1.Record{
			RecordId: c.ID, State: state, Kind: &connectorv1.Record_Client{Client: f}, Hash: hash(bare), OutOfScope: c.OutOfScope,
			MergedInto: c.MergedInto,
		}
		if c.unread {
			f.Unread = []string{"groups", "custom_fields", "relationships"}
		}
	}
	return c.made
}

func (c *Contact) record() *connectorv1.Record {
	if c.made == nil {
		f := proto.Clone(c.Fields).(*connectorv1.ContactFields)
		c.made = &connectorv1.Record{
			RecordId: c.ID, State: connectorv1.RecordState_RECORD_STATE_ACTIVE, Kind: &connectorv1.Record_Contact{Contact: f}, Hash: hash(f),
		}
	}
	return c.made
}

// listing returns the records after a token, a page of them, and whether it is the last.
func (w *World) listing(req *connectorv1.StreamRecordsRequest) (page []*connectorv1.Record, last bool, total int) {
	var all []*connectorv1.Record
	switch req.GetListing() {
	case connectorv1.Listing_LISTING_CONTACTS:
		for _, id := range w.persons() {
			all = append(all, w.contacts[id].record())
		}
	case connectorv1.Listing_LISTING_CHANGED_CLIENTS:
		return w.changed(req)
	case connectorv1.Listing_LISTING_LEGACY_IDS:
		for _, id := range w.order() {
			all = append(all, w.clients[id].outline())
		}
	default:
		for _, id := range w.order() {
			if c := w.clients[id]; !c.Archived && !c.Hidden {
				c.unread = w.Unread
				all = append(all, c.record())
			}
		}
	}
	total = len(all)
	for len(all) > 0 && all[0].GetRecordId() <= req.GetPageToken() {
		all = all[1:]
	}
	if len(all) <= w.PageSize {
		return all, true, total
	}
	return all[:w.PageSize], false, total
}

// order returns the ids of the clients, sorted once per change of their set.
func (w *World) order() []string {
	if w.sorted == nil {
		w.sorted = slices.Sorted(maps.Keys(w.clients))
	}
	return w.sorted
}

// persons is order for the contacts.
func (w *World) persons() []string {
	if w.people == nil {
		w.people = slices.Sorted(maps.Keys(w.contacts))
	}
	return w.people
}

// changed lists clients changed since a time, each with its contacts. A contact stands there with the one client.
func (w *World) changed(req *connectorv1.StreamRecordsRequest) (page []*connectorv1.Record, last bool, total int) {
	since := req.GetChangedSince().AsTime()
	for _, id := range slices.Sorted(maps.Keys(w.clients)) {
		c := w.clients[id]
		if c.changed.Before(since) {
			continue
		}
		page = append(page, c.record())
		for _, p := range slices.Sorted(maps.Keys(w.contacts)) {
			for _, l := range w.contacts[p].Fields.GetLinks() {
				if l.GetClientRecordId() == id {
					one := &Contact{ID: p, Fields: proto.Clone(w.contacts[p].Fields).(*connectorv1.ContactFields)}
					one.Fields.Links = []*connectorv1.ContactLink{l}
					page = append(page, one.record())
				}
			}
		}
	}
	return page, true, len(page)
}

// StreamRecords implements RecordService.
func (s *records) StreamRecords(req *connectorv1.StreamRecordsRequest, stream grpc.ServerStreamingServer[connectorv1.StreamRecordsResponse]) error {
	after, number, _ := strings.Cut(req.GetPageToken(), "|")
	first, err := strconv.Atoi("0" + number)
	if err != nil {
		return rpcerr.Default(codes.InvalidArgument)
	}
	req.PageToken = after
	for n := int32(first) + 1; ; n++ {
		page, err := call(s.w, "StreamRecords", func() (*connectorv1.StreamRecordsResponse, error) {
			records, last, total := s.w.listing(req)
			page := &connectorv1.StreamRecordsResponse{
				Page: n, Records: records, Complete: last, AnnouncedTotal: int64(total), Calls: 1, TenantId: s.w.Tenant,
				ServerTime: timestamppb.New(s.w.clock),
			}
			if req.GetListing() == connectorv1.Listing_LISTING_CHANGED_CLIENTS {
				page.AnnouncedTotal = -1
			}
			if !last {
				page.ResumeToken = fmt.Sprintf("%s|%d", records[len(records)-1].GetRecordId(), n)
			}
			if s.w.spoil != nil {
				page = proto.Clone(page).(*connectorv1.StreamRecordsResponse)
				s.w.spoil(page)
			}
			return page, nil
		})
		if err != nil {
			return err
		}
		for _, part := range s.w.parts(page, fmt.Sprintf("%s|%d", req.GetPageToken(), n-1)) {
			if err := stream.Send(part); err != nil {
				return err
			}
			if err := s.w.between(); err != nil {
				return err
			}
		}
		if page.GetComplete() {
			return nil
		}
		req.PageToken, _, _ = strings.Cut(page.GetResumeToken(), "|")
	}
}

// parts splits a page into messages when the test wants that, as connector does with large ones.
func (w *World) parts(page *connectorv1.StreamRecordsResponse, again string) (out []*connectorv1.StreamRecordsResponse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.PartSize > 0 && len(page.GetRecords()) > w.PartSize {
		part := proto.Clone(page).(*connectorv1.StreamRecordsResponse)
		part.Records, part.ResumeToken, part.Complete, part.Calls = part.GetRecords()[:w.PartSize], again, false, 0
		out = append(out, part)
		page = proto.Clone(page).(*connectorv1.StreamRecordsResponse)
		page.Records = page.GetRecords()[w.PartSize:]
	}
	return append(out, page)
}

// between fails with the faults between two messages.
func (w *World) between() error {
	_, err := call(w, "message", func() (*Folder, error) { return nil, nil })
	return err
}

// GetRecord implements RecordService.
func (s *records) GetRecord(_ context.Context, req *connectorv1.GetRecordRequest) (*connectorv1.GetRecordResponse, error) {
	return call(s.w, "GetRecord", func() (*connectorv1.GetRecordResponse, error) {
		resp := &connectorv1.GetRecordResponse{Calls: 1, ServerTime: timestamppb.New(s.w.clock)}
		if c := s.w.clients[req.GetRecordId()]; c != nil {
			resp.Record = c.record()
			if req.GetDetail() {
				resp.Record, resp.Calls = c.detailed(), 2
			}
		} else {
			resp.Record = &connectorv1.Record{RecordId: req.GetRecordId(), State: connectorv1.RecordState_RECORD_STATE_DELETED}
		}
		return resp, nil
	})
}

type connections struct {
	connectorv1.UnimplementedConnectionServiceServer
	w *World
}

// GetConnection implements ConnectionService.
func (s *connections) GetConnection(_ context.Context, req *connectorv1.GetConnectionRequest) (*connectorv1.GetConnectionResponse, error) {
	return call(s.w, "GetConnection", func() (*connectorv1.GetConnectionResponse, error) {
		switch {
		case s.w.conn.GetName() == req.GetName():
			return &connectorv1.GetConnectionResponse{Connection: s.w.conn}, nil
		case s.w.Strange:
			return nil, rpcerr.Default(codes.NotFound)
		}
		return &connectorv1.GetConnectionResponse{Connection: &connectorv1.Connection{Name: req.GetName(), TenantId: s.w.Tenant}}, nil
	})
}
