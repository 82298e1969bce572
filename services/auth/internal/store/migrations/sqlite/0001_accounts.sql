-- Firms, accounts and what signing in needs. Times are UTC microseconds; 0 means "not yet" or "not at all".
CREATE TABLE firms (
  id             TEXT PRIMARY KEY,
  display_name   TEXT NOT NULL,
  created_at     INTEGER NOT NULL,
  enforced_at    INTEGER NOT NULL DEFAULT 0,
  email_pin      INTEGER NOT NULL DEFAULT 1,
  revision       INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX firms_by_name ON firms (display_name, id);

-- The connections on whose account a firm's second factor can't be switched off.
CREATE TABLE two_factor_requirements (
  firm        TEXT NOT NULL REFERENCES firms (id),
  connection  TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (firm, connection)
) STRICT;

-- One salt per e-mail address: the accounts of an address are checked by one hash.
CREATE TABLE addresses (
  email  TEXT PRIMARY KEY,
  salt   BLOB NOT NULL
) STRICT;

CREATE TABLE accounts (
  id                   TEXT PRIMARY KEY,
  firm                 TEXT NOT NULL,
  kind                 TEXT NOT NULL CHECK (kind IN ('OPERATOR', 'STAFF', 'CONTACT')),
  role                 TEXT NOT NULL CHECK ((kind = 'STAFF') = (role <> '')),
  contact              TEXT NOT NULL CHECK ((kind = 'CONTACT') = (contact <> '')),
  email                TEXT NOT NULL REFERENCES addresses (email),
  display_name         TEXT NOT NULL,
  mobile               TEXT NOT NULL,
  mobile_validated_at  INTEGER NOT NULL DEFAULT 0,
  state                TEXT NOT NULL CHECK (state IN ('INVITED', 'ACTIVE', 'DISABLED')),
  password             TEXT NOT NULL DEFAULT '',
  created_at           INTEGER NOT NULL,
  last_sign_in_at      INTEGER NOT NULL DEFAULT 0,
  revision             INTEGER NOT NULL DEFAULT 1,
  pin_failures         INTEGER NOT NULL DEFAULT 0,
  pin_blocked_until    INTEGER NOT NULL DEFAULT 0,
  pin_disabled_at      INTEGER NOT NULL DEFAULT 0,
  sms_window           INTEGER NOT NULL DEFAULT 0,
  sms_sent             INTEGER NOT NULL DEFAULT 0,
  CHECK ((kind = 'OPERATOR') = (firm = ''))
) STRICT;
CREATE UNIQUE INDEX accounts_email ON accounts (firm, email);
CREATE UNIQUE INDEX accounts_contact ON accounts (firm, contact) WHERE contact <> '';
CREATE INDEX accounts_by_email ON accounts (email);
CREATE INDEX accounts_by_name ON accounts (firm, kind, display_name, id);

-- Wrong passwords by address and origin, known or not, so that counting tells nothing about who exists.
CREATE TABLE attempts (
  subject        BLOB PRIMARY KEY,
  failures       INTEGER NOT NULL,
  failed_at      INTEGER NOT NULL,
  blocked_until  INTEGER NOT NULL,
  trusted_until  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX attempts_old ON attempts (failed_at);

CREATE TABLE invitations (
  code_hash   BLOB PRIMARY KEY,
  account     TEXT NOT NULL REFERENCES accounts (id),
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  closed_at   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX invitations_account ON invitations (account);

-- The one row of the installation: the code that makes the operator, until it is claimed.
CREATE TABLE installation (
  one         INTEGER PRIMARY KEY CHECK (one = 1),
  code_hash   BLOB NOT NULL,
  created_at  INTEGER NOT NULL,
  claimed_at  INTEGER NOT NULL DEFAULT 0
) STRICT;
