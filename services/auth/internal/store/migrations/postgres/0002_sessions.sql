CREATE TABLE challenges (
  id_hash     BYTEA PRIMARY KEY,
  account     TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
  session     TEXT NOT NULL DEFAULT '',
  channel     TEXT NOT NULL CHECK (channel IN ('SMS', 'EMAIL', 'SMS_AND_EMAIL')),
  sms_mac     BYTEA,
  email_mac   BYTEA,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  resend_at   BIGINT NOT NULL,
  sends       BIGINT NOT NULL DEFAULT 1,
  failures    BIGINT NOT NULL DEFAULT 0,
  closed_at   BIGINT NOT NULL DEFAULT 0,
  address     TEXT NOT NULL
);
CREATE INDEX challenges_account ON challenges (account, closed_at);
CREATE INDEX challenges_old ON challenges (expires_at);

CREATE TABLE sessions (
  id             TEXT COLLATE "C" PRIMARY KEY,
  token_hash     BYTEA NOT NULL,
  firm           TEXT COLLATE "C" NOT NULL,
  account        TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
  kind           TEXT NOT NULL CHECK (kind IN ('PERSON', 'ADD_IN')),
  parent         TEXT NOT NULL DEFAULT '',
  add_in         TEXT NOT NULL DEFAULT '',
  strength       BIGINT NOT NULL CHECK (strength BETWEEN 1 AND 3),
  methods        TEXT NOT NULL,
  created_at     BIGINT NOT NULL,
  expires_at     BIGINT NOT NULL,
  used_at        BIGINT NOT NULL,
  step_up_until  BIGINT NOT NULL DEFAULT 0,
  ended_at       BIGINT NOT NULL DEFAULT 0,
  address        TEXT NOT NULL
);
CREATE UNIQUE INDEX sessions_token ON sessions (token_hash);
CREATE INDEX sessions_account ON sessions (account, created_at, id);
CREATE INDEX sessions_parent ON sessions (parent) WHERE parent <> '';
CREATE INDEX sessions_firm ON sessions (firm, ended_at);
CREATE INDEX sessions_old ON sessions (expires_at);

-- A person's consent to an Add-In, until it is redeemed. "opened" is the session it opened: a second use of the code
-- ends that one.
CREATE TABLE consents (
  code_hash     BYTEA PRIMARY KEY,
  session       TEXT NOT NULL REFERENCES sessions (id),
  add_in        TEXT NOT NULL,
  redirect_uri  TEXT NOT NULL,
  challenge     TEXT NOT NULL,
  expires_at    BIGINT NOT NULL,
  used_at       BIGINT NOT NULL DEFAULT 0,
  opened        TEXT NOT NULL DEFAULT ''
);
CREATE INDEX consents_old ON consents (expires_at);
CREATE INDEX consents_session ON consents (session);

CREATE TABLE agents (
  id               TEXT COLLATE "C" PRIMARY KEY,
  firm             TEXT COLLATE "C" NOT NULL REFERENCES firms (id),
  display_name     TEXT COLLATE "C" NOT NULL,
  credential_hash  BYTEA NOT NULL,
  created_by       TEXT NOT NULL,
  created_at       BIGINT NOT NULL
);
CREATE UNIQUE INDEX agents_credential ON agents (credential_hash);

-- The keys that sign internal tokens. The private half is sealed.
CREATE TABLE signing_keys (
  id          TEXT COLLATE "C" PRIMARY KEY,
  public_key  BYTEA NOT NULL,
  sealed      BYTEA NOT NULL,
  vault_key   TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  active_at   BIGINT NOT NULL,
  retires_at  BIGINT NOT NULL
);
