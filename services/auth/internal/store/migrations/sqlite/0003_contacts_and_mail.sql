-- No login is made for a fenced contact while its client is being off-boarded.
CREATE TABLE login_fences (
  firm        TEXT NOT NULL,
  saga        TEXT NOT NULL,
  contact     TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (firm, contact, saga)
) STRICT;
CREATE INDEX login_fences_saga ON login_fences (firm, saga);

-- What sync said last about a contact.
CREATE TABLE contacts (
  firm      TEXT NOT NULL,
  contact   TEXT NOT NULL,
  sequence  INTEGER NOT NULL,
  removed   INTEGER NOT NULL,
  PRIMARY KEY (firm, contact)
) STRICT;

-- E-mails on their way. The text is sealed: it holds invitation codes.
CREATE TABLE deliveries (
  id           TEXT PRIMARY KEY,
  firm         TEXT NOT NULL,
  recipient    TEXT NOT NULL,
  subject      TEXT NOT NULL,
  sealed       BLOB NOT NULL,
  vault_key    TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  due_at       INTEGER NOT NULL,
  attempts     INTEGER NOT NULL DEFAULT 0,
  finished_at  INTEGER NOT NULL DEFAULT 0,
  failure      TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE finished_at = 0;
