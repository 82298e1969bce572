-- Firms, accounts and what signing in needs. Times are UTC microseconds; 0 means "not yet" or "not at all".
CREATE TABLE firms (
  id             TEXT COLLATE "C" PRIMARY KEY,
  display_name   TEXT COLLATE "C" NOT NULL,
  created_at     BIGINT NOT NULL,
  enforced_at    BIGINT NOT NULL DEFAULT 0,
  email_pin      BOOLEAN NOT NULL DEFAULT true,
  revision       BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX firms_by_name ON firms (display_name, id);

-- The connections on whose account a firm's second factor can't be switched off.
CREATE TABLE two_factor_requirements (
  firm        TEXT COLLATE "C" NOT NULL REFERENCES firms (id),
  connection  TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  PRIMARY KEY (firm, connection)
);

-- One salt per e-mail address: the accounts of an address are checked by one hash.
CREATE TABLE addresses (
  email  TEXT COLLATE "C" PRIMARY KEY,
  salt   BYTEA NOT NULL
);

CREATE TABLE accounts (
  id                   TEXT COLLATE "C" PRIMARY KEY,
  firm                 TEXT COLLATE "C" NOT NULL,
  kind                 TEXT NOT NULL CHECK (kind IN ('OPERATOR', 'STAFF', 'CONTACT')),
  role                 TEXT NOT NULL CHECK ((kind = 'STAFF') = (role <> '')),
  contact              TEXT COLLATE "C" NOT NULL CHECK ((kind = 'CONTACT') = (contact <> '')),
  email                TEXT COLLATE "C" NOT NULL REFERENCES addresses (email),
  display_name         TEXT COLLATE "C" NOT NULL,
  mobile               TEXT NOT NULL,
  mobile_validated_at  BIGINT NOT NULL DEFAULT 0,
  state                TEXT NOT NULL CHECK (state IN ('INVITED', 'ACTIVE', 'DISABLED')),
  password             TEXT NOT NULL DEFAULT '',
  created_at           BIGINT NOT NULL,
  last_sign_in_at      BIGINT NOT NULL DEFAULT 0,
  revision             BIGINT NOT NULL DEFAULT 1,
  pin_failures         BIGINT NOT NULL DEFAULT 0,
  pin_blocked_until    BIGINT NOT NULL DEFAULT 0,
  pin_disabled_at      BIGINT NOT NULL DEFAULT 0,
  sms_window           BIGINT NOT NULL DEFAULT 0,
  sms_sent             BIGINT NOT NULL DEFAULT 0,
  CHECK ((kind = 'OPERATOR') = (firm = ''))
);
CREATE UNIQUE INDEX accounts_email ON accounts (firm, email);
CREATE UNIQUE INDEX accounts_contact ON accounts (firm, contact) WHERE contact <> '';
CREATE INDEX accounts_by_email ON accounts (email);
CREATE INDEX accounts_by_name ON accounts (firm, kind, display_name, id);

-- Wrong passwords by address and origin, known or not, so that counting tells nothing about who exists.
CREATE TABLE attempts (
  subject        BYTEA PRIMARY KEY,
  failures       BIGINT NOT NULL,
  failed_at      BIGINT NOT NULL,
  blocked_until  BIGINT NOT NULL,
  trusted_until  BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX attempts_old ON attempts (failed_at);

CREATE TABLE invitations (
  code_hash   BYTEA PRIMARY KEY,
  account     TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  closed_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX invitations_account ON invitations (account);

-- The one row of the installation: the code that makes the operator, until it is claimed.
CREATE TABLE installation (
  one         BIGINT PRIMARY KEY CHECK (one = 1),
  code_hash   BYTEA NOT NULL,
  created_at  BIGINT NOT NULL,
  claimed_at  BIGINT NOT NULL DEFAULT 0
);
