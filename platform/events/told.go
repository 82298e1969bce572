package events

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Told is an event that was emitted here, as the outbox has it.
type Told struct {
	Subject  string
	Sequence int64
	Message  proto.Message
}

// ToldOf reads what was told about an entity of a firm after a sequence, in the order of sequences, at most limit: for a
// reader that misses something and asks. It goes as far back as OutboxRetention. It looks through the whole outbox, so it
// is for the rare case, not for following an entity.
func ToldOf(tx *sqldb.Tx, firm, entity string, after int64, limit int) ([]Told, error) {
	return sqldb.Collect(tx, func(r *sqldb.Rows) (t Told, err error) {
		var kind string
		var payload []byte
		if err := r.Scan(&t.Subject, &t.Sequence, &kind, &payload); err != nil {
			return t, err
		}
		known, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(kind))
		if err != nil {
			return t, err
		}
		t.Message = known.New().Interface()
		return t, proto.Unmarshal(payload, t.Message)
	}, `SELECT subject, sequence, type, payload FROM events_outbox WHERE firm = $1 AND entity = $2 AND sequence > $3
		ORDER BY sequence, position LIMIT $4`, firm, entity, after, limit)
}
