package peertest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/concord-suite/concord/platform/sqldb"
	synceventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
)

// none are queries that find what must never be there, by what is wrong about it.
var none = map[string]string{
	"history with a gap": `SELECT client FROM (SELECT h.client AS client, count(*) AS n, max(h.seq) AS last FROM history h
		GROUP BY h.client) AS g WHERE n <> last`,
	"a client that counts its history wrong": `SELECT c.id FROM clients c
		WHERE c.history_seq <> (SELECT count(*) FROM history h WHERE h.client = c.id)`,
	"a client in the list with relations hidden": `SELECT r.contact FROM relations r JOIN clients c ON c.id = r.client
		WHERE r.left_with <> '' AND c.state <> 'OFFBOARDED'`,
	"a client that left with relations shown": `SELECT r.contact FROM relations r JOIN clients c ON c.id = r.client
		WHERE r.left_with = '' AND c.state = 'OFFBOARDED'`,
	"an active contact without a client": `SELECT k.id FROM contacts k WHERE k.state = 'ACTIVE' AND NOT EXISTS (
		SELECT 1 FROM relations r WHERE r.contact = k.id AND r.client <> '' AND r.left_with = '') AND NOT EXISTS (
		SELECT 1 FROM login_check_contacts w JOIN login_checks c ON c.id = w.login_check WHERE w.contact = k.id AND NOT c.settled)`,
	"a removed or released contact with a client": `SELECT k.id FROM contacts k WHERE k.state IN ('REMOVED', 'RELEASED')
		AND EXISTS (SELECT 1 FROM relations r WHERE r.contact = k.id AND r.client <> '' AND r.left_with = '')`,
	"a client that left without proof of its record or a person": `SELECT c.id FROM clients c
		JOIN offboardings o ON o.id = c.offboarding WHERE c.state = 'OFFBOARDED' AND o.origin = 'UPSTREAM' AND (o.proof_at = 0
			OR NOT EXISTS (SELECT 1 FROM changes h WHERE h.id = o.change AND h.confirmed))`,
	"a client that left without an off-boarding": `SELECT c.id FROM clients c WHERE c.state = 'OFFBOARDED' AND NOT EXISTS (
		SELECT 1 FROM offboardings o WHERE o.id = c.offboarding AND o.state IN ('SECURING', 'DONE', 'REVERSING'))`,
	"a client leaving without an off-boarding": `SELECT c.id FROM clients c WHERE c.state = 'LEAVING' AND NOT EXISTS (
		SELECT 1 FROM offboardings o WHERE o.id = c.offboarding AND o.state = 'PREPARING')`,
	"an off-boarding that is done without its history filed": `SELECT o.id FROM offboardings o
		WHERE o.state IN ('SECURING', 'DONE') AND (o.history_document = '' OR o.filed_seq < 1)`,
	"rows left on their way": `SELECT batch FROM staged_updates`,
	"pages of a run that ended": `SELECT p.run FROM run_pages p JOIN runs r ON r.id = p.run
		WHERE r.state NOT IN ('QUEUED', 'RUNNING', 'PARKED')`,
	"one record linked twice to a client": `SELECT client FROM links GROUP BY client, connection, tenant HAVING count(*) > 1`,
	"two events of one number": `SELECT entity FROM events_outbox WHERE subject <> 'audit.v1.audit_recorded'
		GROUP BY entity, sequence HAVING count(*) > 1`,
}

// Invariants checks what must hold at any moment between two transactions.
func (b *Bench) Invariants() {
	b.T.Helper()
	b.Read(func(tx *sqldb.Tx) error {
		for what, query := range none {
			found, err := sqldb.Collect(tx, func(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) }, query)
			require.NoError(b.T, err, what)
			require.Empty(b.T, found, what)
		}
		b.told(tx)
		return nil
	})
}

// told checks that the last event about each contact says what is true.
func (b *Bench) told(tx *sqldb.Tx) {
	b.T.Helper()
	last := map[string][]string{}
	rows, err := tx.Query(`SELECT entity, payload FROM events_outbox WHERE subject = 'sync.v1.contact_relations_changed' ORDER BY sequence`)
	require.NoError(b.T, err)
	for rows.Next() {
		var entity string
		var payload []byte
		var e synceventsv1.ContactRelationsChanged
		require.NoError(b.T, rows.Scan(&entity, &payload))
		require.NoError(b.T, proto.Unmarshal(payload, &e))
		last[entity] = e.GetClients()
	}
	require.NoError(b.T, rows.Err())
	now := map[string][]string{}
	rows, err = tx.Query(`SELECT DISTINCT r.contact, r.client FROM relations r JOIN contacts k ON k.id = r.contact
		WHERE r.client <> '' AND r.left_with = '' AND k.state IN ('ACTIVE', 'RELEASED')`)
	require.NoError(b.T, err)
	for rows.Next() {
		var contact, client string
		require.NoError(b.T, rows.Scan(&contact, &client))
		key := "contacts/" + contact + "/relations"
		now[key] = append(now[key], fmt.Sprintf("firms/%s/clients/%s", Firm, client))
	}
	require.NoError(b.T, rows.Err())
	for entity, clients := range last {
		slices.Sort(clients)
		slices.Sort(now[entity])
		require.Equal(b.T, strings.Join(now[entity], "\n"), strings.Join(clients, "\n"), "what was told last of %s", entity)
		delete(now, entity)
	}
	require.Empty(b.T, now, "contacts nobody was told about")
}
