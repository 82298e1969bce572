-- One execution of a sync.
CREATE TABLE runs (
  id                TEXT PRIMARY KEY,
  firm              TEXT NOT NULL,
  connection        TEXT NOT NULL,
  kind              TEXT NOT NULL CHECK (kind IN ('MANUAL', 'FULL')),
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
  ended_at          INTEGER NOT NULL DEFAULT 0
) STRICT;
-- One listing run per connection.
CREATE UNIQUE INDEX runs_active ON runs (connection) WHERE state IN ('QUEUED', 'RUNNING', 'PARKED');
CREATE INDEX runs_list ON runs (firm, created_at, id);
CREATE INDEX runs_connection ON runs (connection, tenant, kind, created_at);

-- The messages of the listing under way: the ids in each, so that absence can be told. A page is one message, or several
-- when it is large; number is the page's. Deleted when the run ends.
CREATE TABLE run_pages (
  run         TEXT NOT NULL,
  listing     TEXT NOT NULL,
  message     INTEGER NOT NULL,
  number      INTEGER NOT NULL,
  records     INTEGER NOT NULL,
  seen        TEXT NOT NULL,
  flagged     TEXT NOT NULL,
  complete    INTEGER NOT NULL,
  drifted     INTEGER NOT NULL,
  announced   INTEGER NOT NULL,
  tenant      TEXT NOT NULL,
  server_time INTEGER NOT NULL,
  PRIMARY KEY (run, listing, message)
) STRICT;

-- Contacts that differ from their base, until they are settled or the run ends.
CREATE TABLE staged_contacts (
  run       TEXT NOT NULL,
  record_id TEXT NOT NULL,
  page      INTEGER NOT NULL,
  line      INTEGER NOT NULL,
  payload   TEXT NOT NULL,
  hash      TEXT NOT NULL,
  PRIMARY KEY (run, record_id, page, line)
) STRICT;

-- Rows on their way into clients, contacts and their links, within one transaction only: never durable.
CREATE TABLE staged_updates (
  batch        TEXT NOT NULL,
  entity       TEXT NOT NULL,
  record_id    TEXT NOT NULL,
  display_name TEXT NOT NULL,
  code         TEXT NOT NULL,
  fields       TEXT NOT NULL,
  name_key     TEXT NOT NULL,
  code_key     TEXT NOT NULL,
  business_key TEXT NOT NULL,
  sort_key     TEXT NOT NULL,
  search       TEXT NOT NULL,
  hash         TEXT NOT NULL,
  seen_at      INTEGER NOT NULL,
  changed      INTEGER NOT NULL,
  announced    INTEGER NOT NULL,
  PRIMARY KEY (batch, entity)
) STRICT;

-- What one run found to do.
CREATE TABLE plans (
  id              TEXT PRIMARY KEY,
  firm            TEXT NOT NULL,
  run             TEXT NOT NULL,
  connection      TEXT NOT NULL,
  tenant          TEXT NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('SETTLED', 'WAITING', 'SUPERSEDED')),
  withheld_reason TEXT NOT NULL DEFAULT '',
  linked          INTEGER NOT NULL DEFAULT 0,
  wait_until      INTEGER NOT NULL DEFAULT 0,
  attempts        INTEGER NOT NULL DEFAULT 0,
  lease_owner     TEXT NOT NULL DEFAULT '',
  lease_until     INTEGER NOT NULL DEFAULT 0,
  epoch           INTEGER NOT NULL DEFAULT 0,
  version         INTEGER NOT NULL DEFAULT 1,
  created_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX plans_list ON plans (firm, created_at, id);
CREATE INDEX plans_waiting ON plans (connection) WHERE state = 'WAITING';

-- The lines of a plan. record is kept while a person may still make a client of it.
CREATE TABLE changes (
  id             TEXT PRIMARY KEY,
  plan           TEXT NOT NULL,
  firm           TEXT NOT NULL,
  connection     TEXT NOT NULL,
  tenant         TEXT NOT NULL,
  kind           TEXT NOT NULL CHECK (kind IN ('CREATE', 'UPDATE', 'LINK', 'ARCHIVE', 'RESTORE', 'NEW')),
  state          TEXT NOT NULL
    CHECK (state IN ('WAITING', 'APPROVED', 'APPLIED', 'REJECTED', 'STALE', 'BLOCKED', 'REFUTED')),
  client         TEXT NOT NULL DEFAULT '',
  display_name   TEXT NOT NULL,
  record_id      TEXT NOT NULL,
  record         TEXT NOT NULL DEFAULT '',
  hash           TEXT NOT NULL DEFAULT '',
  record_at      INTEGER NOT NULL DEFAULT 0,
  evidence       TEXT NOT NULL DEFAULT '',
  blockers       TEXT NOT NULL DEFAULT '',
  link_version   INTEGER NOT NULL DEFAULT 0,
  client_version INTEGER NOT NULL DEFAULT 0,
  confirmed      INTEGER NOT NULL DEFAULT 0,
  decided_by     TEXT NOT NULL DEFAULT '',
  decided_at     INTEGER NOT NULL DEFAULT 0,
  offboarding    TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX changes_plan ON changes (plan, kind, id);
-- A record waits for one decision at a time.
CREATE UNIQUE INDEX changes_undecided ON changes (connection, tenant, record_id)
  WHERE state = 'WAITING' AND kind IN ('LINK', 'NEW');
CREATE INDEX changes_removals ON changes (connection, tenant, record_id)
  WHERE kind = 'ARCHIVE' AND state IN ('WAITING', 'APPROVED');
CREATE INDEX changes_approved ON changes (plan, id) WHERE kind = 'ARCHIVE' AND state = 'APPROVED';
