package legacies

import (
	"strings"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
	"github.com/concord-suite/concord/services/sync/internal/match"
	"github.com/concord-suite/concord/services/sync/internal/run"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// Stage keeps the records of a page. Of a record that was listed before, the last line counts.
func Stage(tx *sqldb.Tx, r *run.Run, records []legacy.Record) error {
	if len(records) == 0 {
		return nil
	}
	all := make([]string, len(records))
	for i := range records {
		all[i] = records[i].ID
	}
	if _, err := tx.Exec(`DELETE FROM legacy_records WHERE run = $1 AND `+store.AnyOf(tx, "record_id", 2), r.ID, store.IDs(tx, all)); err != nil {
		return err
	}
	_, err := tx.CopyIn("legacy_records", []string{
		"run", "record_id", "connection", "tenant", "page", "legacy_id", "name_key", "code_key", "business_key", "archived",
		"fields", "at",
	}, func(yield func([]any) bool) {
		for i := range records {
			rec := &records[i]
			k := match.KeysOf(rec.Fields)
			if !yield([]any{
				r.ID, rec.ID, r.Connection, r.Tenant, r.ListingPage, rec.LegacyID, k.Name, k.Code, k.Business, rec.Archived,
				rec.Fields.JSON(), store.Micros(rec.At),
			}) {
				return
			}
		}
	})
	return err
}

const recordColumns = `d.record_id, d.legacy_id, d.archived, d.fields, d.at`

func scanRecord(row func(...any) error) (r legacy.Record, err error) {
	var fields string
	var at int64
	err = row(&r.ID, &r.LegacyID, &r.Archived, &fields, &at)
	r.Fields, r.At = client.ParseFields(fields), store.FromMicros(at)
	return r, err
}

// Find fills a listing with the records of a run that have one of the keys, and with what else bears on links of its
// connection: who has their codes and integer ids, and which clients the records are linked to by now.
func Find(tx *sqldb.Tx, r *run.Run, keys legacy.Keys) (*legacy.Listing, error) {
	l := &legacy.Listing{Codes: map[string]int64{}, Owners: map[string]string{}}
	var found []legacy.Record
	for _, by := range []struct {
		column string
		values []string
		key    func(legacy.Record) string
		into   *map[string][]legacy.Record
	}{
		{"legacy_id", keys.IDs, func(r legacy.Record) string { return r.LegacyID }, &l.ByID},
		{"code_key", keys.Codes, func(r legacy.Record) string { return match.CodeKey(r.Fields.Code) }, &l.ByCode},
		{"name_key", keys.Names, func(r legacy.Record) string { return match.NameKey(r.Fields.Name) }, &l.ByName},
		{"business_key", keys.Business, func(r legacy.Record) string { return match.KeysOf(r.Fields).Business }, &l.ByBusiness},
	} {
		*by.into = map[string][]legacy.Record{}
		if len(by.values) == 0 {
			continue
		}
		all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (legacy.Record, error) { return scanRecord(r.Scan) },
			`SELECT DISTINCT `+recordColumns+` FROM `+store.Lookup(tx, 2, "legacy_records", "d", strings.ReplaceAll(recordColumns, "d.", ""),
				"d.run = $1 AND d."+by.column+" = q.value AND d."+by.column+" <> ''")+` ORDER BY d.record_id`, r.ID, store.IDs(tx, by.values))
		if err != nil {
			return nil, err
		}
		for _, rec := range all {
			(*by.into)[by.key(rec)] = append((*by.into)[by.key(rec)], rec)
		}
		found = append(found, all...)
	}
	return l, owners(tx, r, l, keys, found)
}

// owners fills in what is known of the records that were found.
func owners(tx *sqldb.Tx, r *run.Run, l *legacy.Listing, keys legacy.Keys, found []legacy.Record) (err error) {
	records, integers := make([]string, len(found)), make([]string, len(found))
	for i, rec := range found {
		records[i], integers[i] = rec.ID, rec.LegacyID
	}
	if l.Linked, err = store.LinkedTo(tx, r.Connection, r.Tenant, records); err != nil {
		return err
	}
	type pair struct {
		key string
		n   int64
	}
	counts, err := sqldb.Collect(tx, func(r *sqldb.Rows) (p pair, err error) { return p, r.Scan(&p.key, &p.n) },
		`SELECT g.code_key, count(*) FROM legacy_links g WHERE g.connection = $1 AND g.code_key <> '' AND `+
			store.AnyOf(tx, "g.code_key", 2)+` GROUP BY g.code_key`, r.Connection, store.IDs(tx, keys.Codes))
	if err != nil {
		return err
	}
	for _, p := range counts {
		l.Codes[p.key] = p.n
	}
	type owner struct{ id, link string }
	owned, err := sqldb.Collect(tx, func(r *sqldb.Rows) (o owner, err error) { return o, r.Scan(&o.id, &o.link) },
		`SELECT g.legacy_id, g.id FROM legacy_links g WHERE g.connection = $1 AND g.legacy_id <> '' AND `+open+` AND `+
			store.AnyOf(tx, "g.legacy_id", 2), r.Connection, store.IDs(tx, integers))
	for _, o := range owned {
		l.Owners[o.id] = o.link
	}
	return err
}

// Own returns the records of a tenant that clients are linked to, by client.
func Own(tx *sqldb.Tx, connection, tenant string, clients []string) (map[string]string, error) {
	type pair struct{ client, record string }
	all, err := sqldb.Collect(tx, func(r *sqldb.Rows) (p pair, err error) { return p, r.Scan(&p.client, &p.record) },
		`SELECT l.client, l.record_id FROM `+store.Lookup(tx, 3, "links", "l", "client, record_id",
			"l.client = q.value AND l.connection = $1 AND l.tenant = $2"), connection, tenant, store.IDs(tx, clients))
	out := make(map[string]string, len(all))
	for _, p := range all {
		out[p.client] = p.record
	}
	return out, err
}

// Record returns a record of the newest listing of a connection's tenant that holds it, or sqldb.ErrNotFound.
func Record(tx *sqldb.Tx, connection, tenant, id string) (legacy.Record, error) {
	return scanRecord(tx.QueryRow(`SELECT `+recordColumns+` FROM legacy_records d WHERE d.connection = $1 AND d.record_id = $3
		AND d.tenant = $2 ORDER BY d.at DESC LIMIT 1`, connection, tenant, id).Scan)
}
