CREATE TABLE challenges (
  id_hash     BLOB PRIMARY KEY,
  account     TEXT NOT NULL REFERENCES accounts (id),
  session     TEXT NOT NULL DEFAULT '',
  channel     TEXT NOT NULL CHECK (channel IN ('SMS', 'EMAIL', 'SMS_AND_EMAIL')),
  sms_mac     BLOB,
  email_mac   BLOB,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  resend_at   INTEGER NOT NULL,
  sends       INTEGER NOT NULL DEFAULT 1,
  failures    INTEGER NOT NULL DEFAULT 0,
  closed_at   INTEGER NOT NULL DEFAULT 0,
  address     TEXT NOT NULL
) STRICT;
CREATE INDEX challenges_account ON challenges (account, closed_at);
CREATE INDEX challenges_old ON challenges (expires_at);

CREATE TABLE sessions (
  id             TEXT PRIMARY KEY,
  token_hash     BLOB NOT NULL,
  firm           TEXT NOT NULL,
  account        TEXT NOT NULL REFERENCES accounts (id),
  kind           TEXT NOT NULL CHECK (kind IN ('PERSON', 'ADD_IN')),
  parent         TEXT NOT NULL DEFAULT '',
  add_in         TEXT NOT NULL DEFAULT '',
  strength       INTEGER NOT NULL CHECK (strength BETWEEN 1 AND 3),
  methods        TEXT NOT NULL,
  created_at     INTEGER NOT NULL,
  expires_at     INTEGER NOT NULL,
  used_at        INTEGER NOT NULL,
  step_up_until  INTEGER NOT NULL DEFAULT 0,
  ended_at       INTEGER NOT NULL DEFAULT 0,
  address        TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX sessions_token ON sessions (token_hash);
CREATE INDEX sessions_account ON sessions (account, created_at, id);
CREATE INDEX sessions_parent ON sessions (parent) WHERE parent <> '';
CREATE INDEX sessions_firm ON sessions (firm, ended_at);
CREATE INDEX sessions_old ON sessions (expires_at);

-- A person's consent to an Add-In, until it is redeemed. "opened" is the session it opened: a second use of the code
-- ends that one.
CREATE TABLE consents (
  code_hash     BLOB PRIMARY KEY,
  session       TEXT NOT NULL REFERENCES sessions (id),
  add_in        TEXT NOT NULL,
  redirect_uri  TEXT NOT NULL,
  challenge     TEXT NOT NULL,
  expires_at    INTEGER NOT NULL,
  used_at       INTEGER NOT NULL DEFAULT 0,
  opened        TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX consents_old ON consents (expires_at);
CREATE INDEX consents_session ON consents (session);

CREATE TABLE agents (
  id               TEXT PRIMARY KEY,
  firm             TEXT NOT NULL REFERENCES firms (id),
  display_name     TEXT NOT NULL,
  credential_hash  BLOB NOT NULL,
  created_by       TEXT NOT NULL,
  created_at       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX agents_credential ON agents (credential_hash);

-- The keys that sign internal tokens. The private half is sealed.
CREATE TABLE signing_keys (
  id          TEXT PRIMARY KEY,
  public_key  BLOB NOT NULL,
  sealed      BLOB NOT NULL,
  vault_key   TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  active_at   INTEGER NOT NULL,
  retires_at  INTEGER NOT NULL
) STRICT;
