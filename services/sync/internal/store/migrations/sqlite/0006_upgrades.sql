-- Runs of the kind UPGRADE. legacy_...: what became of the legacy links they looked at. listed_...: how many clients and
-- contacts a listing held when it was read to its end, from which the next run is estimated.
CREATE TABLE runs_new (
  id                TEXT PRIMARY KEY,
  firm              TEXT NOT NULL,
  connection        TEXT NOT NULL,
  kind              TEXT NOT NULL CHECK (kind IN ('MANUAL', 'FULL', 'UPGRADE')),
  state             TEXT NOT NULL
    CHECK (state IN ('QUEUED', 'RUNNING', 'PARKED', 'SUCCEEDED', 'REMOVALS_WITHHELD', 'FAILED', 'CANCELLED')),
  step              TEXT NOT NULL,
  tenant            TEXT NOT NULL,
  selection         TEXT NOT NULL DEFAULT '',
  is_first          INTEGER NOT NULL DEFAULT 0,
  page_token        TEXT NOT NULL DEFAULT '',
  since             INTEGER NOT NULL DEFAULT 0,
  server_start      INTEGER NOT NULL DEFAULT 0,
  step_cursor       TEXT NOT NULL DEFAULT '',
  done              INTEGER NOT NULL DEFAULT 0,
  total             INTEGER NOT NULL DEFAULT 0,
  step_at           INTEGER NOT NULL DEFAULT 0,
  listing_page      INTEGER NOT NULL DEFAULT 0,
  listing_messages  INTEGER NOT NULL DEFAULT 0,
  pages             INTEGER NOT NULL DEFAULT 0,
  calls             INTEGER NOT NULL DEFAULT 0,
  clients_created   INTEGER NOT NULL DEFAULT 0,
  clients_updated   INTEGER NOT NULL DEFAULT 0,
  clients_unchanged INTEGER NOT NULL DEFAULT 0,
  clients_restored  INTEGER NOT NULL DEFAULT 0,
  contacts_created  INTEGER NOT NULL DEFAULT 0,
  contacts_updated  INTEGER NOT NULL DEFAULT 0,
  contacts_left     INTEGER NOT NULL DEFAULT 0,
  suggestions       INTEGER NOT NULL DEFAULT 0,
  out_of_scope      INTEGER NOT NULL DEFAULT 0,
  plan              TEXT NOT NULL,
  has_plan          INTEGER NOT NULL DEFAULT 0,
  proven            INTEGER NOT NULL DEFAULT 0,
  unproven_reason   TEXT NOT NULL DEFAULT '',
  withheld_reason   TEXT NOT NULL DEFAULT '',
  message           TEXT NOT NULL DEFAULT '',
  attempts          INTEGER NOT NULL DEFAULT 0,
  restarts          INTEGER NOT NULL DEFAULT 0,
  wait_until        INTEGER NOT NULL DEFAULT 0,
  cancel_requested  INTEGER NOT NULL DEFAULT 0,
  started_by        TEXT NOT NULL,
  initiator         TEXT NOT NULL DEFAULT '',
  lease_owner       TEXT NOT NULL DEFAULT '',
  lease_until       INTEGER NOT NULL DEFAULT 0,
  epoch             INTEGER NOT NULL DEFAULT 0,
  version           INTEGER NOT NULL DEFAULT 1,
  created_at        INTEGER NOT NULL,
  started_at        INTEGER NOT NULL DEFAULT 0,
  first_visible_at  INTEGER NOT NULL DEFAULT 0,
  ended_at          INTEGER NOT NULL DEFAULT 0,
  garbled           INTEGER NOT NULL DEFAULT 0,
  legacy_mapped     INTEGER NOT NULL DEFAULT 0,
  legacy_suggested  INTEGER NOT NULL DEFAULT 0,
  legacy_unmapped   INTEGER NOT NULL DEFAULT 0,
  listed_clients    INTEGER NOT NULL DEFAULT 0,
  listed_contacts   INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO runs_new (
  id, firm, connection, kind, state, step, tenant, selection, is_first, page_token, since, server_start, step_cursor,
  done, total, step_at, listing_page, listing_messages, pages, calls, clients_created, clients_updated,
  clients_unchanged, clients_restored, contacts_created, contacts_updated, contacts_left, suggestions, out_of_scope,
  plan, has_plan, proven, unproven_reason, withheld_reason, message, attempts, restarts, wait_until,
  cancel_requested, started_by, initiator, lease_owner, lease_until, epoch, version, created_at, started_at,
  first_visible_at, ended_at, garbled
) SELECT
  id, firm, connection, kind, state, step, tenant, selection, is_first, page_token, since, server_start, step_cursor,
  done, total, step_at, listing_page, listing_messages, pages, calls, clients_created, clients_updated,
  clients_unchanged, clients_restored, contacts_created, contacts_updated, contacts_left, suggestions, out_of_scope,
  plan, has_plan, proven, unproven_reason, withheld_reason, message, attempts, restarts, wait_until,
  cancel_requested, started_by, initiator, lease_owner, lease_until, epoch, version, created_at, started_at,
  first_visible_at, ended_at, garbled
FROM runs;
DROP TABLE runs;
ALTER TABLE runs_new RENAME TO runs;
-- One listing run per connection.
CREATE UNIQUE INDEX runs_active ON runs (connection) WHERE state IN ('QUEUED', 'RUNNING', 'PARKED');
CREATE INDEX runs_list ON runs (firm, created_at, id);
CREATE INDEX runs_connection ON runs (connection, tenant, kind, created_at);

-- Connections from before OAuth 2, in the state LEGACY. manual_wanted asks for a manual run as soon as none is under way.
CREATE TABLE connections_new (
  id                 TEXT PRIMARY KEY,
  firm               TEXT NOT NULL,
  provider           TEXT NOT NULL,
  tenant             TEXT NOT NULL,
  state              TEXT NOT NULL CHECK (state IN ('ACTIVE', 'DEGRADED', 'NEEDS_REAUTH', 'DISCONNECTED', 'LEGACY')),
  state_reason       TEXT NOT NULL DEFAULT '',
  selection          TEXT NOT NULL DEFAULT '',
  review_new         INTEGER NOT NULL DEFAULT 0,
  review_removals    INTEGER NOT NULL DEFAULT 0,
  guard_permille     INTEGER NOT NULL DEFAULT 0,
  guard_floor        INTEGER NOT NULL DEFAULT 0,
  full_every_days    INTEGER NOT NULL DEFAULT 0,
  removals_suspended INTEGER NOT NULL DEFAULT 0,
  event_seq          INTEGER NOT NULL DEFAULT 0,
  established_at     INTEGER NOT NULL DEFAULT 0,
  full_wanted        INTEGER NOT NULL DEFAULT 0,
  wanted_by          TEXT NOT NULL DEFAULT '',
  state_seq          INTEGER NOT NULL DEFAULT 0,
  suspended_at       INTEGER NOT NULL DEFAULT 0,
  manual_wanted      INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO connections_new (
  id, firm, provider, tenant, state, state_reason, selection, review_new, review_removals, guard_permille,
  guard_floor, full_every_days, removals_suspended, event_seq, established_at, full_wanted, wanted_by, state_seq,
  suspended_at
) SELECT
  id, firm, provider, tenant, state, state_reason, selection, review_new, review_removals, guard_permille,
  guard_floor, full_every_days, removals_suspended, event_seq, established_at, full_wanted, wanted_by, state_seq,
  suspended_at
FROM connections;
DROP TABLE connections;
ALTER TABLE connections_new RENAME TO connections;
CREATE INDEX connections_tenant ON connections (firm, provider, tenant);

-- outside: the records on a page that are in use and of none of the chosen contact types.
ALTER TABLE run_pages ADD COLUMN outside TEXT NOT NULL DEFAULT '[]';

-- A client with the keys that it had at a legacy connection, and what became of it. code_key is the code as codes are
-- compared; candidates are the records that it may be, as JSON.
CREATE TABLE legacy_links (
  id           TEXT PRIMARY KEY,
  firm         TEXT NOT NULL,
  connection   TEXT NOT NULL,
  client       TEXT NOT NULL REFERENCES clients (id),
  display_name TEXT NOT NULL,
  sort_key     TEXT NOT NULL,
  legacy_id    TEXT NOT NULL DEFAULT '',
  code         TEXT NOT NULL DEFAULT '',
  code_key     TEXT NOT NULL DEFAULT '',
  state        TEXT NOT NULL CHECK (state IN ('PENDING', 'MAPPED', 'SUGGESTED', 'UNMAPPED', 'DISMISSED')),
  record_id    TEXT NOT NULL DEFAULT '',
  explanation  TEXT NOT NULL DEFAULT '',
  candidates   TEXT NOT NULL DEFAULT '',
  decided_by   TEXT NOT NULL DEFAULT '',
  decided_at   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX legacy_links_client ON legacy_links (connection, client);
CREATE UNIQUE INDEX legacy_links_id ON legacy_links (connection, legacy_id) WHERE legacy_id <> '';
CREATE INDEX legacy_links_list ON legacy_links (connection, sort_key, id);
CREATE INDEX legacy_links_code ON legacy_links (connection, code_key) WHERE code_key <> '';

-- The listing of an UPGRADE run, kept as long as there is something to decide from it. at is the provider's clock.
CREATE TABLE legacy_records (
  run          TEXT NOT NULL,
  record_id    TEXT NOT NULL,
  connection   TEXT NOT NULL,
  tenant       TEXT NOT NULL,
  page         INTEGER NOT NULL,
  legacy_id    TEXT NOT NULL DEFAULT '',
  name_key     TEXT NOT NULL DEFAULT '',
  code_key     TEXT NOT NULL DEFAULT '',
  business_key TEXT NOT NULL DEFAULT '',
  archived     INTEGER NOT NULL DEFAULT 0,
  fields       TEXT NOT NULL,
  at           INTEGER NOT NULL,
  PRIMARY KEY (run, record_id)
) STRICT;
CREATE INDEX legacy_records_connection ON legacy_records (connection, record_id);
CREATE INDEX legacy_records_id ON legacy_records (run, legacy_id) WHERE legacy_id <> '';
CREATE INDEX legacy_records_name ON legacy_records (run, name_key) WHERE name_key <> '';
CREATE INDEX legacy_records_code ON legacy_records (run, code_key) WHERE code_key <> '';
CREATE INDEX legacy_records_business ON legacy_records (run, business_key) WHERE business_key <> '';

-- detail_hash: the base_hash for which groups, relationships and custom fields were read; '' for never.
ALTER TABLE links ADD COLUMN detail_hash TEXT NOT NULL DEFAULT '';

-- What listings do not carry of a client's record, as JSON, and when it was read last, by this service's clock.
CREATE TABLE client_details (
  connection TEXT NOT NULL,
  tenant     TEXT NOT NULL,
  record_id  TEXT NOT NULL,
  firm       TEXT NOT NULL,
  details    TEXT NOT NULL,
  read_at    INTEGER NOT NULL,
  PRIMARY KEY (connection, tenant, record_id)
) STRICT;

-- How far the reading of details is, of connections whose listings leave some out. pending: there may be some to read,
-- after step_cursor; asked counts how often that was said. allowed and spent are calls until allowed_until; pace is the time from one reading to the next.
CREATE TABLE detail_work (
  connection    TEXT PRIMARY KEY,
  firm          TEXT NOT NULL,
  pending       INTEGER NOT NULL DEFAULT 1,
  step_cursor   TEXT NOT NULL DEFAULT '',
  asked         INTEGER NOT NULL DEFAULT 0,
  wait_until    INTEGER NOT NULL DEFAULT 0,
  message       TEXT NOT NULL DEFAULT '',
  attempts      INTEGER NOT NULL DEFAULT 0,
  allowed       INTEGER NOT NULL DEFAULT 0,
  spent         INTEGER NOT NULL DEFAULT 0,
  pace          INTEGER NOT NULL DEFAULT 0,
  allowed_until INTEGER NOT NULL DEFAULT 0,
  lease_owner   TEXT NOT NULL DEFAULT '',
  lease_until   INTEGER NOT NULL DEFAULT 0,
  epoch         INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX detail_work_due ON detail_work (wait_until) WHERE pending;
