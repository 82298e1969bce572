-- What sync knows of the connections of a firm, from connector's events.
CREATE TABLE connections (
  id                 TEXT COLLATE "C" PRIMARY KEY,
  firm               TEXT COLLATE "C" NOT NULL,
  provider           TEXT NOT NULL,
  tenant             TEXT NOT NULL,
  state              TEXT NOT NULL CHECK (state IN ('ACTIVE', 'DEGRADED', 'NEEDS_REAUTH', 'DISCONNECTED')),
  state_reason       TEXT NOT NULL DEFAULT '',
  selection          TEXT NOT NULL DEFAULT '',
  review_new         BOOLEAN NOT NULL DEFAULT FALSE,
  review_removals    BOOLEAN NOT NULL DEFAULT FALSE,
  guard_permille     BIGINT NOT NULL DEFAULT 0,
  guard_floor        BIGINT NOT NULL DEFAULT 0,
  full_every_days    BIGINT NOT NULL DEFAULT 0,
  removals_suspended BOOLEAN NOT NULL DEFAULT FALSE,
  event_seq          BIGINT NOT NULL DEFAULT 0,
  established_at     BIGINT NOT NULL DEFAULT 0,
  full_wanted        BOOLEAN NOT NULL DEFAULT FALSE,
  wanted_by          TEXT NOT NULL DEFAULT ''
);
CREATE INDEX connections_tenant ON connections (firm, provider, tenant);

-- A client entity of the firm. Its id never changes.
CREATE TABLE clients (
  id           TEXT COLLATE "C" PRIMARY KEY,
  firm         TEXT COLLATE "C" NOT NULL,
  display_name TEXT NOT NULL,
  code         TEXT NOT NULL DEFAULT '',
  fields       TEXT NOT NULL,
  name_key     TEXT COLLATE "C" NOT NULL DEFAULT '',
  code_key     TEXT COLLATE "C" NOT NULL DEFAULT '',
  business_key TEXT COLLATE "C" NOT NULL DEFAULT '',
  sort_key     TEXT COLLATE "C" NOT NULL,
  search       TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('LISTED', 'LEAVING', 'OFFBOARDED')),
  list_source  TEXT COLLATE "C" NOT NULL DEFAULT '',
  offboarding  TEXT COLLATE "C" NOT NULL DEFAULT '',
  blockers     TEXT NOT NULL DEFAULT '',
  version      BIGINT NOT NULL DEFAULT 1,
  event_seq    BIGINT NOT NULL DEFAULT 0,
  history_seq  BIGINT NOT NULL DEFAULT 0,
  trail_seq    BIGINT NOT NULL DEFAULT 0,
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL
);
CREATE INDEX clients_list ON clients (firm, sort_key, id);
CREATE INDEX clients_name ON clients (firm, name_key) WHERE name_key <> '';
CREATE INDEX clients_code ON clients (firm, code_key) WHERE code_key <> '';
CREATE INDEX clients_business ON clients (firm, business_key) WHERE business_key <> '';

-- client <-> record of one tenant of a connection, with the base: what both sides last agreed on.
-- presence: PRESENT, GONE (the provider said so, by its clock at gone_at), KEPT (gone there, kept here by a person).
CREATE TABLE links (
  connection   TEXT COLLATE "C" NOT NULL,
  tenant       TEXT COLLATE "C" NOT NULL,
  record_id    TEXT COLLATE "C" NOT NULL,
  firm         TEXT COLLATE "C" NOT NULL,
  client       TEXT COLLATE "C" NOT NULL REFERENCES clients (id),
  base         TEXT NOT NULL,
  base_hash    TEXT NOT NULL,
  base_at      BIGINT NOT NULL,
  presence     TEXT NOT NULL DEFAULT 'PRESENT' CHECK (presence IN ('PRESENT', 'GONE', 'KEPT')),
  out_of_scope BOOLEAN NOT NULL DEFAULT FALSE,
  gone_at      BIGINT NOT NULL DEFAULT 0,
  version      BIGINT NOT NULL DEFAULT 1,
  linked_at    BIGINT NOT NULL,
  PRIMARY KEY (connection, tenant, record_id)
);
CREATE UNIQUE INDEX links_client ON links (client, connection, tenant);

-- Records a person said to leave alone.
CREATE TABLE ignored_records (
  connection TEXT COLLATE "C" NOT NULL,
  tenant     TEXT COLLATE "C" NOT NULL,
  record_id  TEXT COLLATE "C" NOT NULL,
  firm       TEXT COLLATE "C" NOT NULL,
  decided_by TEXT NOT NULL,
  decided_at BIGINT NOT NULL,
  PRIMARY KEY (connection, tenant, record_id)
);

-- A person related to clients.
CREATE TABLE contacts (
  id            TEXT COLLATE "C" PRIMARY KEY,
  firm          TEXT COLLATE "C" NOT NULL,
  display_name  TEXT NOT NULL,
  person        TEXT NOT NULL,
  sort_key      TEXT COLLATE "C" NOT NULL,
  search        TEXT NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('ACTIVE', 'RELEASED', 'REMOVED', 'DELETED')),
  has_login     BOOLEAN NOT NULL DEFAULT FALSE,
  login_seq     BIGINT NOT NULL DEFAULT 0,
  relations_seq BIGINT NOT NULL DEFAULT 0,
  event_seq     BIGINT NOT NULL DEFAULT 0,
  version       BIGINT NOT NULL DEFAULT 1,
  created_at    BIGINT NOT NULL,
  updated_at    BIGINT NOT NULL
);
CREATE INDEX contacts_list ON contacts (firm, sort_key, id);

-- contact <-> record, with the base.
CREATE TABLE contact_links (
  connection TEXT COLLATE "C" NOT NULL,
  tenant     TEXT COLLATE "C" NOT NULL,
  record_id  TEXT COLLATE "C" NOT NULL,
  firm       TEXT COLLATE "C" NOT NULL,
  contact    TEXT COLLATE "C" NOT NULL REFERENCES contacts (id),
  base       TEXT NOT NULL,
  base_hash  TEXT NOT NULL,
  PRIMARY KEY (connection, tenant, record_id)
);
CREATE INDEX contact_links_contact ON contact_links (contact);

-- Which contact belongs to which client, by the records. client is '' while the client's record is linked to nobody.
-- left_with is the off-boarding that hides the relation, '' when it shows.
CREATE TABLE relations (
  connection     TEXT COLLATE "C" NOT NULL,
  tenant         TEXT COLLATE "C" NOT NULL,
  contact_record TEXT COLLATE "C" NOT NULL,
  client_record  TEXT COLLATE "C" NOT NULL,
  firm           TEXT COLLATE "C" NOT NULL,
  contact        TEXT COLLATE "C" NOT NULL REFERENCES contacts (id),
  client         TEXT COLLATE "C" NOT NULL DEFAULT '',
  position       TEXT NOT NULL DEFAULT '',
  is_primary     BOOLEAN NOT NULL DEFAULT FALSE,
  left_with      TEXT COLLATE "C" NOT NULL DEFAULT '',
  PRIMARY KEY (connection, tenant, contact_record, client_record)
);
CREATE INDEX relations_contact ON relations (contact);
CREATE INDEX relations_client ON relations (client);
CREATE INDEX relations_unresolved ON relations (connection, tenant, client_record) WHERE client = '';

-- The dated trail of a client. trail_seq is the place in documents' own trail, 0 for what sync wrote.
CREATE TABLE history (
  client      TEXT COLLATE "C" NOT NULL,
  seq         BIGINT NOT NULL,
  firm        TEXT COLLATE "C" NOT NULL,
  occurred_at BIGINT NOT NULL,
  kind        TEXT NOT NULL,
  actor       TEXT NOT NULL,
  summary     TEXT NOT NULL,
  resource    TEXT NOT NULL DEFAULT '',
  trail_seq   BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (client, seq)
);
CREATE UNIQUE INDEX history_trail ON history (client, trail_seq) WHERE trail_seq > 0;
