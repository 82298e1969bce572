package api

import (
	"encoding/base64"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/store"
)

// defaultPage is the size of a page nobody gave a size for.
const defaultPage = 50

func pageSize(asked int32) int {
	if asked == 0 {
		return defaultPage
	}
	return int(asked)
}

// placeOf writes where a page ended. It holds nothing the caller has not just been shown.
func placeOf(c connection.Connection) string {
	text := strconv.FormatInt(sqldb.Micros(c.Created), 10) + " " + c.ID
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// parsePlace reads what placeOf wrote; nil for an empty token.
func parsePlace(token string) (*store.Place, error) {
	if token == "" {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	created, id, ok := strings.Cut(string(text), " ")
	at, badTime := strconv.ParseInt(created, 10, 64)
	if err != nil || !ok || badTime != nil || !names.ValidID(id) {
		return nil, rpcerr.Default(codes.InvalidArgument).Field("page_token", "invalid", "is not a token of this list")
	}
	return &store.Place{Created: sqldb.FromMicros(at), ID: id}, nil
}

func itoa(i int) string { return strconv.Itoa(i) }
