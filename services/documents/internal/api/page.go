package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/platform/rpcerr"
)

// defaultPage is the size of a page when the request names none, as the contract says.
const defaultPage = 50

// place is where a page of a list begins: after the row with this key and id. It is what page tokens hold.
type place struct {
	Key string `json:"k,omitempty"`
	ID  string `json:"i,omitempty"`
	// Number is the key of lists that are sorted by one.
	Number int64 `json:"n,omitempty"`
	// Query is a hash of what was asked: a token continues the list it came from and no other.
	Query uint64 `json:"q"`
}

// listRequest is what every request for a list has.
type listRequest interface {
	proto.Message
	GetPageSize() int32
	GetPageToken() string
}

// begin reads where a page begins and how many rows it has.
func begin(req listRequest) (at place, size int, err error) {
	size = int(req.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	query := hashOf(req)
	if req.GetPageToken() == "" {
		return place{Query: query}, size, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(req.GetPageToken())
	if err == nil {
		err = json.Unmarshal(raw, &at)
	}
	if err != nil || at.Query != query || !storable(at.Key) || !storable(at.ID) || at.Number < 0 {
		return at, size, rpcerr.Default(codes.InvalidArgument).Field("page_token", "page_token", "is not the next_page_token of this list")
	}
	return at, size, nil
}

func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// token is the page token for a place.
func (at place) token() string {
	raw, err := json.Marshal(at)
	if err != nil {
		return "" // of strings and numbers, which always encode
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// hashOf hashes everything a list request asks for, but not how much of it at once.
func hashOf(req proto.Message) uint64 {
	h := fnv.New64a()
	m := req.ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Name() == "page_size" || f.Name() == "page_token" || f.Kind() == protoreflect.MessageKind {
			continue
		}
		_, _ = fmt.Fprintf(h, "%d=%v;", f.Number(), m.Get(f).Interface())
	}
	return h.Sum64()
}

// more cuts a list that was read one row too far, and reports whether there was one.
func more[T any](rows []T, size int) ([]T, bool) {
	if len(rows) > size {
		return rows[:size], true
	}
	return rows, false
}
