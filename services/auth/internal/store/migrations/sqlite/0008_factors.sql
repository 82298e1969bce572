-- Second factors that are enrolled, and recovery. Times are UTC microseconds; 0 means "not yet" or "not at all".

-- A challenge says what may be shown for it; one that does not was made before it could, and waits for the PINs of its
-- channel. One without PINs has no channel. "alone" is true when no password was shown: a passkey that verifies its user
-- answers it. Whose sign-in that is, its answer says: there is no account before.
CREATE TABLE challenges_wider (
  id_hash     BLOB PRIMARY KEY,
  account     TEXT REFERENCES accounts (id),
  session     TEXT NOT NULL DEFAULT '',
  factors     TEXT NOT NULL DEFAULT '',
  alone       INTEGER NOT NULL DEFAULT 0,
  channel     TEXT NOT NULL CHECK (channel IN ('', 'SMS', 'EMAIL', 'SMS_AND_EMAIL')),
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
INSERT INTO challenges_wider (id_hash, account, session, channel, sms_mac, email_mac, created_at, expires_at, resend_at, sends,
  failures, closed_at, address)
SELECT id_hash, account, session, channel, sms_mac, email_mac, created_at, expires_at, resend_at, sends, failures, closed_at, address
FROM challenges;
DROP TABLE challenges;
ALTER TABLE challenges_wider RENAME TO challenges;
CREATE INDEX challenges_account ON challenges (account, closed_at);
CREATE INDEX challenges_old ON challenges (expires_at);

-- The authenticator programs. "last_step" is the half minute whose code was accepted last: none up to it is accepted again.
CREATE TABLE totps (
  account     TEXT PRIMARY KEY REFERENCES accounts (id),
  firm        TEXT NOT NULL,
  sealed      BLOB NOT NULL,
  vault_key   TEXT NOT NULL,
  last_step   INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  used_at     INTEGER NOT NULL
) STRICT;

-- Each account's recovery codes are hashed with a key of its own, which is sealed.
CREATE TABLE recovery_keys (
  account    TEXT PRIMARY KEY REFERENCES accounts (id),
  firm       TEXT NOT NULL,
  sealed     BLOB NOT NULL,
  vault_key  TEXT NOT NULL
) STRICT;
CREATE TABLE recovery_codes (
  account     TEXT NOT NULL REFERENCES accounts (id),
  mac         BLOB NOT NULL,
  issued      INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  used_at     INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (account, mac)
) STRICT;

-- Factors that are being enrolled. "approval" is true when the enrolment uses up the approval of an administrator.
CREATE TABLE enrolments (
  id          TEXT PRIMARY KEY,
  account     TEXT NOT NULL REFERENCES accounts (id),
  firm        TEXT NOT NULL,
  session     TEXT NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ('TOTP', 'SMS_PIN', 'PASSKEY')),
  approval    INTEGER NOT NULL,
  sealed      BLOB NOT NULL,
  vault_key   TEXT NOT NULL,
  mobile      TEXT NOT NULL,
  pin_mac     BLOB,
  failures    INTEGER NOT NULL DEFAULT 0,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  closed_at   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX enrolments_account ON enrolments (account, closed_at);
CREATE INDEX enrolments_old ON enrolments (expires_at);

-- That somebody above lets a weak session enrol once.
CREATE TABLE enrolment_approvals (
  account     TEXT PRIMARY KEY REFERENCES accounts (id),
  approver    TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL
) STRICT;

-- When somebody asked for that last.
CREATE TABLE enrolment_asks (
  account   TEXT PRIMARY KEY REFERENCES accounts (id),
  asked_at  INTEGER NOT NULL
) STRICT;
