-- No login is made for a fenced contact while its client is being off-boarded.
CREATE TABLE login_fences (
  firm        TEXT COLLATE "C" NOT NULL,
  saga        TEXT COLLATE "C" NOT NULL,
  contact     TEXT COLLATE "C" NOT NULL,
  created_at  BIGINT NOT NULL,
  PRIMARY KEY (firm, contact, saga)
);
CREATE INDEX login_fences_saga ON login_fences (firm, saga);

-- What sync said last about a contact.
CREATE TABLE contacts (
  firm      TEXT COLLATE "C" NOT NULL,
  contact   TEXT COLLATE "C" NOT NULL,
  sequence  BIGINT NOT NULL,
  removed   BOOLEAN NOT NULL,
  PRIMARY KEY (firm, contact)
);

-- E-mails on their way. The text is sealed: it holds invitation codes.
CREATE TABLE deliveries (
  id           TEXT COLLATE "C" PRIMARY KEY,
  firm         TEXT COLLATE "C" NOT NULL,
  recipient    TEXT NOT NULL,
  subject      TEXT NOT NULL,
  sealed       BYTEA NOT NULL,
  vault_key    TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  due_at       BIGINT NOT NULL,
  attempts     BIGINT NOT NULL DEFAULT 0,
  finished_at  BIGINT NOT NULL DEFAULT 0,
  failure      TEXT NOT NULL DEFAULT ''
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE finished_at = 0;
