-- The saga of one client that leaves, with its receipt.
CREATE TABLE offboardings (
  id                TEXT COLLATE "C" PRIMARY KEY,
  firm              TEXT COLLATE "C" NOT NULL,
  client            TEXT COLLATE "C" NOT NULL REFERENCES clients (id),
  client_name       TEXT NOT NULL,
  state             TEXT NOT NULL CHECK
    (state IN ('PREPARING', 'BLOCKED', 'SECURING', 'DONE', 'CANCELLED', 'REVERSING', 'REVERSED')),
  step              TEXT NOT NULL,
  origin            TEXT NOT NULL CHECK (origin IN ('HAND', 'UPSTREAM')),
  reason            TEXT NOT NULL,
  started_by        TEXT NOT NULL,
  initiator         TEXT NOT NULL DEFAULT '',
  override          BOOLEAN NOT NULL DEFAULT FALSE,
  plan              TEXT COLLATE "C" NOT NULL DEFAULT '',
  change            TEXT COLLATE "C" NOT NULL DEFAULT '',
  proof_at          BIGINT NOT NULL DEFAULT 0,
  blockers          TEXT NOT NULL DEFAULT '',
  trail_seq         BIGINT NOT NULL DEFAULT 0,
  filed_seq         BIGINT NOT NULL DEFAULT -1,
  history_document  TEXT NOT NULL DEFAULT '',
  folder            TEXT NOT NULL DEFAULT '',
  folder_removed    BOOLEAN NOT NULL DEFAULT FALSE,
  document_count    BIGINT NOT NULL DEFAULT 0,
  fenced            TEXT NOT NULL DEFAULT '',
  logins            TEXT NOT NULL DEFAULT '',
  contacts_removed  BIGINT NOT NULL DEFAULT 0,
  contacts_released BIGINT NOT NULL DEFAULT 0,
  contacts_kept     BIGINT NOT NULL DEFAULT 0,
  missing           TEXT NOT NULL DEFAULT '',
  cancel_requested  BOOLEAN NOT NULL DEFAULT FALSE,
  reverse_requested BOOLEAN NOT NULL DEFAULT FALSE,
  attempts          BIGINT NOT NULL DEFAULT 0,
  last_error        TEXT NOT NULL DEFAULT '',
  next_at           BIGINT NOT NULL DEFAULT 0,
  lease_owner       TEXT NOT NULL DEFAULT '',
  lease_until       BIGINT NOT NULL DEFAULT 0,
  epoch             BIGINT NOT NULL DEFAULT 0,
  created_at        BIGINT NOT NULL,
  archived_at       BIGINT NOT NULL DEFAULT 0,
  ended_at          BIGINT NOT NULL DEFAULT 0
);
-- One at a time per client.
CREATE UNIQUE INDEX offboardings_open ON offboardings (client)
  WHERE state IN ('PREPARING', 'BLOCKED', 'SECURING', 'REVERSING');
CREATE INDEX offboardings_client ON offboardings (client, created_at);
CREATE INDEX offboardings_list ON offboardings (firm, created_at, id);
CREATE INDEX offboardings_work ON offboardings (next_at)
  WHERE state IN ('PREPARING', 'BLOCKED', 'SECURING', 'REVERSING');

-- The lines of the receipt.
CREATE TABLE offboarding_steps (
  offboarding TEXT COLLATE "C" NOT NULL REFERENCES offboardings (id),
  seq         BIGINT NOT NULL,
  occurred_at BIGINT NOT NULL,
  description TEXT NOT NULL,
  PRIMARY KEY (offboarding, seq)
);

-- The tombstone of an off-boarding: what became of each contact of the client, and at which version.
CREATE TABLE offboarding_contacts (
  offboarding TEXT COLLATE "C" NOT NULL REFERENCES offboardings (id),
  contact     TEXT COLLATE "C" NOT NULL,
  fate        TEXT NOT NULL CHECK (fate IN ('KEPT', 'RELEASED', 'REMOVED')),
  PRIMARY KEY (offboarding, contact)
);
CREATE INDEX offboarding_contacts_contact ON offboarding_contacts (contact);
