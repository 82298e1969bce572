package auth_test

import (
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/sqldb"
)

// events reads what was emitted under a subject, as copies of kind.
func (s *suite) events(subject string, kind proto.Message) []proto.Message {
	s.t.Helper()
	var all []proto.Message
	require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error {
		payloads, err := sqldb.Collect(tx, func(r *sqldb.Rows) (b []byte, err error) { return b, r.Scan(&b) },
			`SELECT payload FROM events_outbox WHERE subject = $1 ORDER BY position`, subject)
		for _, p := range payloads {
			m := kind.ProtoReflect().New().Interface()
			require.NoError(s.t, proto.Unmarshal(p, m))
			all = append(all, m)
		}
		return err
	}))
	return all
}
