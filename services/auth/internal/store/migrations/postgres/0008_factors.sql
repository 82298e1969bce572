-- Second factors that are enrolled, and recovery. Times are UTC microseconds; 0 means "not yet" or "not at all".

-- A challenge says what may be shown for it; one that does not was made before it could, and waits for the PINs of its
-- channel. One without PINs has no channel. "alone" is true when no password was shown: a passkey that verifies its user
-- answers it. Whose sign-in that is, its answer says: there is no account before.
ALTER TABLE challenges ADD COLUMN factors TEXT NOT NULL DEFAULT '';
ALTER TABLE challenges ADD COLUMN alone BIGINT NOT NULL DEFAULT 0;
ALTER TABLE challenges ALTER COLUMN account DROP NOT NULL;
ALTER TABLE challenges DROP CONSTRAINT challenges_channel_check;
ALTER TABLE challenges ADD CONSTRAINT challenges_channel_check CHECK (channel IN ('', 'SMS', 'EMAIL', 'SMS_AND_EMAIL'));

-- The authenticator programs. "last_step" is the half minute whose code was accepted last: none up to it is accepted again.
CREATE TABLE totps (
  account     TEXT COLLATE "C" PRIMARY KEY REFERENCES accounts (id),
  firm        TEXT COLLATE "C" NOT NULL,
  sealed      BYTEA NOT NULL,
  vault_key   TEXT NOT NULL,
  last_step   BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  used_at     BIGINT NOT NULL
);

-- Each account's recovery codes are hashed with a key of its own, which is sealed.
CREATE TABLE recovery_keys (
  account    TEXT COLLATE "C" PRIMARY KEY REFERENCES accounts (id),
  firm       TEXT COLLATE "C" NOT NULL,
  sealed     BYTEA NOT NULL,
  vault_key  TEXT NOT NULL
);
CREATE TABLE recovery_codes (
  account     TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
  mac         BYTEA NOT NULL,
  issued      BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  used_at     BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (account, mac)
);

-- Factors that are being enrolled. "approval" is true when the enrolment uses up the approval of an administrator.
CREATE TABLE enrolments (
  id          TEXT COLLATE "C" PRIMARY KEY,
  account     TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
  firm        TEXT COLLATE "C" NOT NULL,
  session     TEXT NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ('TOTP', 'SMS_PIN', 'PASSKEY')),
  approval    BIGINT NOT NULL,
  sealed      BYTEA NOT NULL,
  vault_key   TEXT NOT NULL,
  mobile      TEXT NOT NULL,
  pin_mac     BYTEA,
  failures    BIGINT NOT NULL DEFAULT 0,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  closed_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX enrolments_account ON enrolments (account, closed_at);
CREATE INDEX enrolments_old ON enrolments (expires_at);

-- That somebody above lets a weak session enrol once.
CREATE TABLE enrolment_approvals (
  account     TEXT COLLATE "C" PRIMARY KEY REFERENCES accounts (id),
  approver    TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL
);

-- When somebody asked for that last.
CREATE TABLE enrolment_asks (
  account   TEXT COLLATE "C" PRIMARY KEY REFERENCES accounts (id),
  asked_at  BIGINT NOT NULL
);
