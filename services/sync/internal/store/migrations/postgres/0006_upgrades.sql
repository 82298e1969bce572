-- Runs of the kind UPGRADE. legacy_...: what became of the legacy links they looked at. listed_...: how many clients and
-- contacts a listing held when it was read to its end, from which the next run is estimated.
ALTER TABLE runs DROP CONSTRAINT runs_kind_check;
ALTER TABLE runs ADD CONSTRAINT runs_kind_check CHECK (kind IN ('MANUAL', 'FULL', 'UPGRADE'));
ALTER TABLE runs ADD COLUMN legacy_mapped BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN legacy_suggested BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN legacy_unmapped BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN listed_clients BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN listed_contacts BIGINT NOT NULL DEFAULT 0;

-- Connections from before OAuth 2, in the state LEGACY. manual_wanted asks for a manual run as soon as none is under way.
ALTER TABLE connections DROP CONSTRAINT connections_state_check;
ALTER TABLE connections ADD CONSTRAINT connections_state_check
  CHECK (state IN ('ACTIVE', 'DEGRADED', 'NEEDS_REAUTH', 'DISCONNECTED', 'LEGACY'));
ALTER TABLE connections ADD COLUMN manual_wanted BOOLEAN NOT NULL DEFAULT FALSE;

-- outside: the records on a page that are in use and of none of the chosen contact types.
ALTER TABLE run_pages ADD COLUMN outside TEXT NOT NULL DEFAULT '[]';

-- A client with the keys that it had at a legacy connection, and what became of it. code_key is the code as codes are
-- compared; candidates are the records that it may be, as JSON.
CREATE TABLE legacy_links (
  id           TEXT COLLATE "C" PRIMARY KEY,
  firm         TEXT COLLATE "C" NOT NULL,
  connection   TEXT COLLATE "C" NOT NULL,
  client       TEXT COLLATE "C" NOT NULL REFERENCES clients (id),
  display_name TEXT NOT NULL,
  sort_key     TEXT COLLATE "C" NOT NULL,
  legacy_id    TEXT COLLATE "C" NOT NULL DEFAULT '',
  code         TEXT NOT NULL DEFAULT '',
  code_key     TEXT COLLATE "C" NOT NULL DEFAULT '',
  state        TEXT NOT NULL CHECK (state IN ('PENDING', 'MAPPED', 'SUGGESTED', 'UNMAPPED', 'DISMISSED')),
  record_id    TEXT COLLATE "C" NOT NULL DEFAULT '',
  explanation  TEXT NOT NULL DEFAULT '',
  candidates   TEXT NOT NULL DEFAULT '',
  decided_by   TEXT NOT NULL DEFAULT '',
  decided_at   BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX legacy_links_client ON legacy_links (connection, client);
CREATE UNIQUE INDEX legacy_links_id ON legacy_links (connection, legacy_id) WHERE legacy_id <> '';
CREATE INDEX legacy_links_list ON legacy_links (connection, sort_key, id);
CREATE INDEX legacy_links_code ON legacy_links (connection, code_key) WHERE code_key <> '';

-- The listing of an UPGRADE run, kept as long as there is something to decide from it. at is the provider's clock.
CREATE TABLE legacy_records (
  run          TEXT COLLATE "C" NOT NULL,
  record_id    TEXT COLLATE "C" NOT NULL,
  connection   TEXT COLLATE "C" NOT NULL,
  tenant       TEXT COLLATE "C" NOT NULL,
  page         BIGINT NOT NULL,
  legacy_id    TEXT COLLATE "C" NOT NULL DEFAULT '',
  name_key     TEXT COLLATE "C" NOT NULL DEFAULT '',
  code_key     TEXT COLLATE "C" NOT NULL DEFAULT '',
  business_key TEXT COLLATE "C" NOT NULL DEFAULT '',
  archived     BOOLEAN NOT NULL DEFAULT FALSE,
  fields       TEXT NOT NULL,
  at           BIGINT NOT NULL,
  PRIMARY KEY (run, record_id)
);
CREATE INDEX legacy_records_connection ON legacy_records (connection, record_id);
CREATE INDEX legacy_records_id ON legacy_records (run, legacy_id) WHERE legacy_id <> '';
CREATE INDEX legacy_records_name ON legacy_records (run, name_key) WHERE name_key <> '';
CREATE INDEX legacy_records_code ON legacy_records (run, code_key) WHERE code_key <> '';
CREATE INDEX legacy_records_business ON legacy_records (run, business_key) WHERE business_key <> '';

-- detail_hash: the base_hash for which groups, relationships and custom fields were read; '' for never.
ALTER TABLE links ADD COLUMN detail_hash TEXT NOT NULL DEFAULT '';

-- What listings do not carry of a client's record, as JSON, and when it was read last, by this service's clock.
CREATE TABLE client_details (
  connection TEXT COLLATE "C" NOT NULL,
  tenant     TEXT COLLATE "C" NOT NULL,
  record_id  TEXT COLLATE "C" NOT NULL,
  firm       TEXT COLLATE "C" NOT NULL,
  details    TEXT NOT NULL,
  read_at    BIGINT NOT NULL,
  PRIMARY KEY (connection, tenant, record_id)
);

-- How far the reading of details is, of connections whose listings leave some out. pending: there may be some to read,
-- after step_cursor; asked counts how often that was said. allowed and spent are calls until allowed_until; pace is the time from one reading to the next.
CREATE TABLE detail_work (
  connection    TEXT COLLATE "C" PRIMARY KEY,
  firm          TEXT COLLATE "C" NOT NULL,
  pending       BOOLEAN NOT NULL DEFAULT TRUE,
  step_cursor   TEXT COLLATE "C" NOT NULL DEFAULT '',
  asked         BIGINT NOT NULL DEFAULT 0,
  wait_until    BIGINT NOT NULL DEFAULT 0,
  message       TEXT NOT NULL DEFAULT '',
  attempts      BIGINT NOT NULL DEFAULT 0,
  allowed       BIGINT NOT NULL DEFAULT 0,
  spent         BIGINT NOT NULL DEFAULT 0,
  pace          BIGINT NOT NULL DEFAULT 0,
  allowed_until BIGINT NOT NULL DEFAULT 0,
  lease_owner   TEXT NOT NULL DEFAULT '',
  lease_until   BIGINT NOT NULL DEFAULT 0,
  epoch         BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX detail_work_due ON detail_work (wait_until) WHERE pending;
