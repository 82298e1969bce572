-- One execution of a sync.
CREATE TABLE runs (
  id                TEXT COLLATE "C" PRIMARY KEY,
  firm              TEXT COLLATE "C" NOT NULL,
  connection        TEXT COLLATE "C" NOT NULL,
  kind              TEXT NOT NULL CHECK (kind IN ('MANUAL', 'FULL')),
  state             TEXT NOT NULL
    CHECK (state IN ('QUEUED', 'RUNNING', 'PARKED', 'SUCCEEDED', 'REMOVALS_WITHHELD', 'FAILED', 'CANCELLED')),
  step              TEXT NOT NULL,
  tenant            TEXT NOT NULL,
  selection         TEXT NOT NULL DEFAULT '',
  is_first          BOOLEAN NOT NULL DEFAULT FALSE,
  page_token        TEXT NOT NULL DEFAULT '',
  since             BIGINT NOT NULL DEFAULT 0,
  server_start      BIGINT NOT NULL DEFAULT 0,
  step_cursor       TEXT NOT NULL DEFAULT '',
  done              BIGINT NOT NULL DEFAULT 0,
  total             BIGINT NOT NULL DEFAULT 0,
  step_at           BIGINT NOT NULL DEFAULT 0,
  listing_page      BIGINT NOT NULL DEFAULT 0,
  listing_messages  BIGINT NOT NULL DEFAULT 0,
  pages             BIGINT NOT NULL DEFAULT 0,
  calls             BIGINT NOT NULL DEFAULT 0,
  clients_created   BIGINT NOT NULL DEFAULT 0,
  clients_updated   BIGINT NOT NULL DEFAULT 0,
  clients_unchanged BIGINT NOT NULL DEFAULT 0,
  clients_restored  BIGINT NOT NULL DEFAULT 0,
  contacts_created  BIGINT NOT NULL DEFAULT 0,
  contacts_updated  BIGINT NOT NULL DEFAULT 0,
  contacts_left     BIGINT NOT NULL DEFAULT 0,
  suggestions       BIGINT NOT NULL DEFAULT 0,
  out_of_scope      BIGINT NOT NULL DEFAULT 0,
  plan              TEXT COLLATE "C" NOT NULL,
  has_plan          BOOLEAN NOT NULL DEFAULT FALSE,
  proven            BOOLEAN NOT NULL DEFAULT FALSE,
  unproven_reason   TEXT NOT NULL DEFAULT '',
  withheld_reason   TEXT NOT NULL DEFAULT '',
  message           TEXT NOT NULL DEFAULT '',
  attempts          BIGINT NOT NULL DEFAULT 0,
  restarts          BIGINT NOT NULL DEFAULT 0,
  wait_until        BIGINT NOT NULL DEFAULT 0,
  cancel_requested  BOOLEAN NOT NULL DEFAULT FALSE,
  started_by        TEXT NOT NULL,
  initiator         TEXT NOT NULL DEFAULT '',
  lease_owner       TEXT NOT NULL DEFAULT '',
  lease_until       BIGINT NOT NULL DEFAULT 0,
  epoch             BIGINT NOT NULL DEFAULT 0,
  version           BIGINT NOT NULL DEFAULT 1,
  created_at        BIGINT NOT NULL,
  started_at        BIGINT NOT NULL DEFAULT 0,
  first_visible_at  BIGINT NOT NULL DEFAULT 0,
  ended_at          BIGINT NOT NULL DEFAULT 0
);
-- One listing run per connection.
CREATE UNIQUE INDEX runs_active ON runs (connection) WHERE state IN ('QUEUED', 'RUNNING', 'PARKED');
CREATE INDEX runs_list ON runs (firm, created_at, id);
CREATE INDEX runs_connection ON runs (connection, tenant, kind, created_at);

-- The messages of the listing under way: the ids in each, so that absence can be told. A page is one message, or several
-- when it is large; number is the page's. Deleted when the run ends.
CREATE TABLE run_pages (
  run         TEXT COLLATE "C" NOT NULL,
  listing     TEXT NOT NULL,
  message     BIGINT NOT NULL,
  number      BIGINT NOT NULL,
  records     BIGINT NOT NULL,
  seen        TEXT NOT NULL,
  flagged     TEXT NOT NULL,
  complete    BOOLEAN NOT NULL,
  drifted     BOOLEAN NOT NULL,
  announced   BIGINT NOT NULL,
  tenant      TEXT NOT NULL,
  server_time BIGINT NOT NULL,
  PRIMARY KEY (run, listing, message)
);

-- Contacts that differ from their base, until they are settled or the run ends.
CREATE TABLE staged_contacts (
  run       TEXT COLLATE "C" NOT NULL,
  record_id TEXT COLLATE "C" NOT NULL,
  page      BIGINT NOT NULL,
  line      BIGINT NOT NULL,
  payload   TEXT NOT NULL,
  hash      TEXT NOT NULL,
  PRIMARY KEY (run, record_id, page, line)
);

-- Rows on their way into clients, contacts and their links, within one transaction only: never durable, hence unlogged.
CREATE UNLOGGED TABLE staged_updates (
  batch        TEXT COLLATE "C" NOT NULL,
  entity       TEXT COLLATE "C" NOT NULL,
  record_id    TEXT COLLATE "C" NOT NULL,
  display_name TEXT NOT NULL,
  code         TEXT NOT NULL,
  fields       TEXT NOT NULL,
  name_key     TEXT NOT NULL,
  code_key     TEXT NOT NULL,
  business_key TEXT NOT NULL,
  sort_key     TEXT NOT NULL,
  search       TEXT NOT NULL,
  hash         TEXT NOT NULL,
  seen_at      BIGINT NOT NULL,
  changed      BIGINT NOT NULL,
  announced    BIGINT NOT NULL,
  PRIMARY KEY (batch, entity)
);

-- What one run found to do.
CREATE TABLE plans (
  id              TEXT COLLATE "C" PRIMARY KEY,
  firm            TEXT COLLATE "C" NOT NULL,
  run             TEXT COLLATE "C" NOT NULL,
  connection      TEXT COLLATE "C" NOT NULL,
  tenant          TEXT NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('SETTLED', 'WAITING', 'SUPERSEDED')),
  withheld_reason TEXT NOT NULL DEFAULT '',
  linked          BIGINT NOT NULL DEFAULT 0,
  wait_until      BIGINT NOT NULL DEFAULT 0,
  attempts        BIGINT NOT NULL DEFAULT 0,
  lease_owner     TEXT NOT NULL DEFAULT '',
  lease_until     BIGINT NOT NULL DEFAULT 0,
  epoch           BIGINT NOT NULL DEFAULT 0,
  version         BIGINT NOT NULL DEFAULT 1,
  created_at      BIGINT NOT NULL
);
CREATE INDEX plans_list ON plans (firm, created_at, id);
CREATE INDEX plans_waiting ON plans (connection) WHERE state = 'WAITING';

-- The lines of a plan. record is kept while a person may still make a client of it.
CREATE TABLE changes (
  id             TEXT COLLATE "C" PRIMARY KEY,
  plan           TEXT COLLATE "C" NOT NULL,
  firm           TEXT COLLATE "C" NOT NULL,
  connection     TEXT COLLATE "C" NOT NULL,
  tenant         TEXT COLLATE "C" NOT NULL,
  kind           TEXT NOT NULL CHECK (kind IN ('CREATE', 'UPDATE', 'LINK', 'ARCHIVE', 'RESTORE', 'NEW')),
  state          TEXT NOT NULL
    CHECK (state IN ('WAITING', 'APPROVED', 'APPLIED', 'REJECTED', 'STALE', 'BLOCKED', 'REFUTED')),
  client         TEXT COLLATE "C" NOT NULL DEFAULT '',
  display_name   TEXT NOT NULL,
  record_id      TEXT COLLATE "C" NOT NULL,
  record         TEXT NOT NULL DEFAULT '',
  hash           TEXT NOT NULL DEFAULT '',
  record_at      BIGINT NOT NULL DEFAULT 0,
  evidence       TEXT NOT NULL DEFAULT '',
  blockers       TEXT NOT NULL DEFAULT '',
  link_version   BIGINT NOT NULL DEFAULT 0,
  client_version BIGINT NOT NULL DEFAULT 0,
  confirmed      BOOLEAN NOT NULL DEFAULT FALSE,
  decided_by     TEXT NOT NULL DEFAULT '',
  decided_at     BIGINT NOT NULL DEFAULT 0,
  offboarding    TEXT COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX changes_plan ON changes (plan, kind, id);
-- A record waits for one decision at a time.
CREATE UNIQUE INDEX changes_undecided ON changes (connection, tenant, record_id)
  WHERE state = 'WAITING' AND kind IN ('LINK', 'NEW');
CREATE INDEX changes_removals ON changes (connection, tenant, record_id)
  WHERE kind = 'ARCHIVE' AND state IN ('WAITING', 'APPROVED');
CREATE INDEX changes_approved ON changes (plan, id) WHERE kind = 'ARCHIVE' AND state = 'APPROVED';
